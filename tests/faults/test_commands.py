"""Every command takes an application or its factory, and answers mistakes without a traceback."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from duly import Scheduler
from duly.cli.main import main
from tests.support.processes import Children
from tests.support.waiting import wait_until

JOBS = """
from duly import Scheduler, every
scheduler = Scheduler({url!r}, heartbeat="fast")

@scheduler.job(every(minutes=5), id="sync")
def sync() -> None: ...
"""
FLASK_FACTORY = """
from flask import Flask
from duly import Scheduler, every
from duly.integrations.flask import init_app

scheduler = Scheduler()

@scheduler.job(every(minutes=5), id="sync")
def sync() -> None: ...

def create_app() -> Flask:
    app = Flask(__name__)
    app.config["DULY_URL"] = {url!r}
    init_app(app, scheduler)
    return app
"""
FASTAPI = """
from fastapi import FastAPI
from duly.integrations.fastapi import init_app

def create_app() -> FastAPI:
    app = FastAPI()
    init_app(app, scheduler)
    return app

app = FastAPI()
init_app(app, scheduler)
"""
DASHBOARD = """
from fastapi import FastAPI
from duly.integrations.fastapi import init_app
from duly.web import local_key

def create_app() -> FastAPI:
    app = FastAPI()
    init_app(app, scheduler, web="/duly", access=local_key())
    return app
"""
FLASK = """
from flask import Flask
from duly.integrations.flask import init_app

app = Flask(__name__)
init_app(app, scheduler)
"""
LIFESPAN = """
from fastapi import FastAPI

app = FastAPI(lifespan=scheduler.lifespan)
"""
UNCONNECTED = """
from fastapi import FastAPI

app = FastAPI()
"""
APPLICATIONS = {
    "scheduler": (JOBS, "scheduler"),
    "fastapi application": (JOBS + FASTAPI, "app"),
    "fastapi factory": (JOBS + FASTAPI, "create_app"),
    "fastapi lifespan": (JOBS + LIFESPAN, "app"),
    "flask application": (JOBS + FLASK, "app"),
    "flask factory": (FLASK_FACTORY, "create_app"),
}
Invoke = Callable[..., Result]


def module_name(folder: Path) -> str:
    """Return a name that no other test uses."""
    return f"module_of_{re.sub('[^a-z0-9]+', '_', str(folder.name))}"


@pytest.fixture
def duly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Call a command line on a module that the test has written, in this process."""
    name = module_name(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def invoke(source: str, *arguments: str) -> Result:
        (tmp_path / f"{name}.py").write_text(source)
        given = [re.sub(r"\bshop\b", name, part) for part in arguments]
        return CliRunner().invoke(main, [*given, "--app-dir", str(tmp_path)])

    yield invoke
    sys.modules.pop(name, None)


def clean(result: Result) -> str:
    """Return the output, which must not have a traceback."""
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.mark.parametrize("form", APPLICATIONS)
@pytest.mark.parametrize("command", ["simulate", "doctor", "run"])
def test_U27_commands_take_what_the_guides_write(
    duly: Invoke, prepared_sqlite_url: str, form: str, command: str
) -> None:
    """The scheduler, an application or a factory: the command finds the same jobs."""
    source, attribute = APPLICATIONS[form]
    options = {"simulate": ["--json"], "doctor": ["--json"], "run": ["--once", "--json"]}[command]
    result = duly(source.format(url=prepared_sqlite_url), command, f"shop:{attribute}", *options)
    output = clean(result)
    assert result.exit_code == 0, output
    answer: Any = json.loads(result.stdout)
    if command == "simulate":
        assert [job["id"] for job in answer["jobs"]] == ["sync"]
        assert answer["total"] == 7 * 24 * 12
    elif command == "doctor":
        assert answer["ok"] is True
    else:
        assert set(answer) >= {"succeeded", "failed"}
        looking = Scheduler(prepared_sqlite_url)
        assert [job.id for job in looking.jobs()] == ["sync"]
        looking.store.dispose()


@pytest.mark.parametrize("form", ["fastapi factory", "flask factory"])
def test_U27_a_worker_takes_a_factory(
    children: Children, tmp_path: Path, prepared_sqlite_url: str, form: str
) -> None:
    """``duly worker`` executes its runs, and ends in order."""
    source, attribute = APPLICATIONS[form]
    (tmp_path / "shop.py").write_text(source.format(url=prepared_sqlite_url))
    call = "from duly.cli.main import main; main(prog_name='duly')"
    worker = children.python("-c", call, "worker", f"shop:{attribute}")
    worker.wait_for("executes without firing")
    looking = Scheduler(prepared_sqlite_url)
    looking.task(name="sync")(nothing)
    wait_until(looking.workers)
    assert [known.fires for known in looking.workers()] == [False]
    run = looking.enqueue("sync")
    wait_until(lambda: looking.run(run).state == "succeeded")
    assert worker.terminate() == 0
    assert "Traceback" not in worker.output()
    looking.store.dispose()


def nothing() -> None:
    """Has the signature of the application's task."""


MISTAKES = {
    "no attribute": ("", "shop", "write MODULE:ATTRIBUTE, such as"),
    "a file": ("", "shop.py:scheduler", "write shop:scheduler"),
    "a misspelt attribute": ("", "shop:schedluer", "did you mean shop:scheduler"),
    "a misspelt factory": (
        "\ndef create_app(): ...\n",
        "shop:creat_app",
        "did you mean shop:create_app?",
    ),
    "a missing module": ("", "shoop:scheduler", "there is no module 'shoop'"),
    "an application without a scheduler": (UNCONNECTED, "shop:app", "did you mean shop:scheduler"),
    "something else": ("", "shop:__name__", "is not a Scheduler but of type str"),
    "a factory with parameters": (
        "\ndef create_app(config): ...\n",
        "shop:create_app",
        "create_app(config) needs arguments",
    ),
    "a factory that returns nothing": (
        "\ndef create_app(): ...\n",
        "shop:create_app",
        "is not a Scheduler but of type NoneType",
    ),
}


@pytest.mark.parametrize("command", ["simulate", "doctor", "run", "worker"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_U27_mistakes_are_answered_in_one_sentence(
    duly: Invoke, tmp_path: Path, mistake: str, command: str
) -> None:
    """The message says what was wrong and what to write instead; the exit code is 2."""
    source, app, expected = MISTAKES[mistake]
    jobs = JOBS.format(url=f"sqlite:///{tmp_path}/app.db")
    result = duly(jobs + source, command, app)
    output = " ".join(clean(result).split())
    assert result.exit_code == 2, output
    assert expected in output.replace(module_name(tmp_path), "shop")


def test_a_command_that_serves_no_dashboard_prints_no_key(duly: Invoke, tmp_path: Path) -> None:
    """The key of `local_key()` opens the dashboard of the process that prints it, and no other."""
    jobs = JOBS.format(url=f"sqlite:///{tmp_path}/app.db") + DASHBOARD
    result = duly(jobs, "run", "shop:create_app", "--once")
    assert result.exit_code == 0, clean(result)
    assert "key=" not in clean(result)
