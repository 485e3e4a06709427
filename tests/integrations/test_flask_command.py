"""``flask duly``: the commands on the scheduler of the current application."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path

import click
import pytest
from flask import Flask
from flask.cli import ScriptInfo

from duly import Scheduler, every
from duly.cli.flask import flask_command
from duly.integrations.flask import init_app
from tests.support.processes import ROOT


def sweep() -> None:
    """The only job."""


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    """Run ``flask duly`` with arguments; return the exit code and what it printed."""
    done = app.test_cli_runner().invoke(
        flask_command, arguments, obj=ScriptInfo(create_app=lambda: app), prog_name="flask duly"
    )
    return done.exit_code, done.output


def test_commands_use_the_scheduler_of_the_application(prepared_sqlite_url: str) -> None:
    """Neither ``--app`` nor APP is needed, and APP is refused."""
    app, scheduler = Flask("shop"), Scheduler(prepared_sqlite_url)
    scheduler.job(every(hours=1), id="sweep")(sweep)
    init_app(app, scheduler)
    scheduler.prepare()
    code, text = run(app, "jobs", "list")
    assert (code, text.splitlines()[1].split("\t")[:2]) == (0, ["sweep", "active"])
    assert run(app, "run", "--once")[0] == 0
    code, text = run(app, "doctor", "other:scheduler")
    assert (code, "flask has chosen the application" in text) == (2, True)
    scheduler.store.dispose()


def test_the_application_logs_no_requests_of_a_command(
    prepared_sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A command calls the API in its own process, which concerns nobody."""
    caplog.set_level(logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.NOTSET)
    app, scheduler = Flask("shop"), Scheduler(prepared_sqlite_url)
    init_app(app, scheduler)
    assert run(app, "jobs", "list")[0] == 0
    assert not [record for record in caplog.records if record.name == "httpx2"]
    scheduler.store.dispose()


def test_missing_tables_name_the_command_of_flask(sqlite_url: str) -> None:
    """``duly db upgrade`` would not know the application."""
    app = Flask("shop")
    scheduler = Scheduler(sqlite_url)
    init_app(app, scheduler)
    assert run(app, "db", "upgrade")[0] == 0
    scheduler.store.dispose()
    Path(sqlite_url.removeprefix("sqlite:///")).write_bytes(b"")
    code, text = run(app, "jobs", "list")
    assert (code, "`flask duly db upgrade`" in " ".join(text.split())) == (1, True), text
    scheduler.store.dispose()


def test_an_application_without_a_scheduler_is_told_how_to_connect_one() -> None:
    """The error names what to write."""
    code, text = run(Flask("shop"), "jobs", "list")
    assert (code, "init_app(app, scheduler)" in text) == (2, True)


def test_flask_finds_the_command_by_its_entry_point() -> None:
    """The package declares what ``flask`` looks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["flask.commands"] == {"duly": "duly.cli.flask:flask_command"}
    assert isinstance(flask_command, click.Group)
