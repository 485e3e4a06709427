"""The management commands, on an application, on a database alone and on a remote API."""

from __future__ import annotations

import getpass
import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url

from duly import Scheduler, every
from duly.cli import output
from duly.cli.main import main
from tests.support.processes import Children

KEY = "key-of-the-test-suite"
APP = """
from duly import Scheduler, cron, every
from duly.web import local_key, web_app
scheduler = Scheduler({url!r})

@scheduler.job(every(minutes=5), id="sweep", tags=["night"])
def sweep() -> str:
    return "swept"

@scheduler.job(cron("0 9 * * *"), id="mail", tags=["night", "post"])
def mail() -> None:
    raise ValueError("no\\x1b[31mserver")

web = web_app(scheduler, access=local_key(key={key!r}))
"""
DEPLOYED = """
from duly import Scheduler, every
scheduler = Scheduler({url!r})

def nothing() -> None: ...

scheduler.job(every(days=1), id="same")(nothing)
for n in (1, 2, 4):
    scheduler.job(every(hours=n), id=f"job{{n}}", timeout=n)(nothing)
"""


def call(*arguments: str, **more: Any) -> Result:
    """Run a command in this process, with pipes instead of a terminal."""
    return CliRunner().invoke(main, [str(each) for each in arguments], prog_name="duly", **more)


class Shop:
    """An application in a file, whose jobs have run."""

    def __init__(self, url: str, folder: Path) -> None:
        name = f"shop_{abs(hash(url)):x}"
        (folder / f"{name}.py").write_text(APP.format(url=url, key=KEY))
        self.name = name
        self.url = url
        self.app = ("--app", f"{name}:scheduler", "--app-dir", str(folder))
        self.scheduler = Scheduler(url)
        for job in ("sweep", "mail"):
            self.scheduler.task(name=job)(nothing)


def nothing() -> None:
    """Has the signature of the tasks."""


@pytest.fixture
def shop(prepared_database_url: str, tmp_path: Path) -> Iterator[Shop]:
    """The application on each database."""
    made = Shop(prepared_database_url, tmp_path)
    yield made
    made.scheduler.store.dispose()


@pytest.fixture
def small(prepared_sqlite_url: str, tmp_path: Path) -> Iterator[Shop]:
    """The application on SQLite, with its jobs stored, for tests that no database can matter to."""
    made = Shop(prepared_sqlite_url, tmp_path)
    for job in ("sweep", "mail"):
        made.scheduler.add(job, every(hours=1), id=job, tags=["night"])
    yield made
    made.scheduler.store.dispose()


@pytest.mark.processes
@pytest.mark.timeout(600)
def test_each_target_prints_the_same(shop: Shop, children: Children) -> None:
    """Lists and records are equal on the application, the database and the remote API."""
    children.python("-m", "duly.cli", "run", "--once", f"{shop.name}:scheduler").wait()
    ran = call("jobs", "run", "mail", *shop.app)
    assert ran.exit_code == 0, ran.output
    children.python("-m", "duly.cli", "run", "--once", f"{shop.name}:scheduler").wait()
    server = children.uvicorn(f"{shop.name}:web", ready="/api/v1/health")
    (run,) = shop.scheduler.runs(job="mail")
    targets = (
        shop.app, ("--url", shop.url), ("--api", server.url, "--key", KEY),
        ("--api", f"{server.url}/api/v1/", "--key", KEY),
    )  # fmt: skip
    for command in (
        ("jobs", "list"), ("jobs", "list", "--tag", "post", "--json"), ("jobs", "show", "mail"),
        ("runs", "list"), ("runs", "show", run.id), ("runs", "log", run.id), ("dead", "list"),
        ("runs", "attempts", run.id), ("workers", "list"), ("queues", "list"),
        ("limits", "list"), ("calendars", "list"), ("events", "--kind", "run.failed"),
    ):  # fmt: skip
        first, *others = [call(*command, *target) for target in targets]
        assert first.exit_code == 0, (command, first.output)
        assert [other.output for other in others] == [first.output] * len(others)
        assert "\x1b" not in first.output
    listed = call("runs", "list", "--state", "failed", "--url", shop.url).stdout.splitlines()
    assert [line.split("\t")[1:4] for line in listed] == [
        ["STATE", "JOB", "TASK"], ["failed", "mail", "mail"],
    ]  # fmt: skip


def test_a_command_ends_after_it_has_woken_the_workers(
    prepared_postgresql_url: str, tmp_path: Path
) -> None:
    """Its process ends then, and with it the thread that notifies the others."""
    import psycopg

    made = Shop(prepared_postgresql_url, tmp_path)
    made.scheduler.add("mail", every(hours=1), id="mail")
    made.scheduler.stop()
    address = make_url(prepared_postgresql_url).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as conn:
        conn.execute("listen duly")
        assert call("jobs", "run", "mail", *made.app).exit_code == 0
        conn.execute("select 1")  # reads what has arrived until now
        assert list(conn.notifies(timeout=0, stop_after=1))


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("jobs", "show", "nothing"), 3, "no job has the id 'nothing' (404)"),
        (("jobs", "list", "--state", "odd"), 2, "state"),
        (("runs", "cancel", "nothing"), 3, "(404)"),
        (("jobs", "run", "sweep"), 2, "needs the code of the application: name it with --app"),
        (("jobs", "pause"), 2, "give an id, filters, or --everything"),
        (("jobs", "pause", "mail", "--tag", "night"), 2, "give either an id, or filters"),
        (("jobs", "edit", "mail"), 2, "nothing to change"),
        (("jobs", "edit", "mail", "--args", "{"), 2, "give JSON"),
        (("jobs", "remove", "mail"), 2, "add --yes"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    small: Shop, command: tuple[str, ...], code: int, words: str
) -> None:
    """What the API refuses has the exit code of its kind, and its problem is the last line."""
    done = call(*command, "--url", small.url)
    assert done.exit_code == code, done.output
    assert words in done.stderr.splitlines()[-1]
    assert done.stdout == ""
    assert small.scheduler.job("mail").state == "active"


def test_a_state_that_forbids_it_is_exit_code_4(small: Shop) -> None:
    """A run that has ended cannot be cancelled."""
    run = small.scheduler.run_now("sweep")
    target = ("--url", small.url)
    assert call("runs", "cancel", run.id, *target).exit_code == 0
    again = call("runs", "cancel", run.id, *target)
    assert (again.exit_code, again.stderr.count("\n")) == (4, 1)
    assert "is cancelled" in again.stderr


@pytest.mark.processes
def test_a_wrong_key_is_exit_code_5_and_a_server_that_is_away_is_1(
    small: Shop, children: Children
) -> None:
    """A remote API that refuses the key, or does not answer, is told apart from the rest."""
    server = children.uvicorn(f"{small.name}:web", ready="/api/v1/health")
    refused = call("jobs", "list", "--api", server.url, "--key", "another")
    assert (refused.exit_code, refused.stderr.count("\n")) == (5, 1)
    assert "--key or DULY_KEY" in refused.stderr
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = call("jobs", "list", "--api", f"http://127.0.0.1:{port}")
    assert (away.exit_code, away.stderr.count("\n")) == (1, 1)
    assert "does not answer" in away.stderr


def test_an_address_without_a_scheme_is_wrong_usage() -> None:
    """It is not reported as a server that does not answer."""
    done = call("jobs", "list", "--api", "shop.example/duly")
    assert (done.exit_code, "is no address" in done.stderr) == (2, True)


def test_a_database_that_is_away_is_one_line() -> None:
    """The driver's message, which may have several lines, is put on one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = call("jobs", "list", "--url", f"postgresql+psycopg://127.0.0.1:{port}/shop")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "does not answer" in done.stderr


def test_an_application_gets_no_tables_by_a_question(tmp_path: Path) -> None:
    """``--app`` creates no file and no table either, before ``duly db upgrade``."""
    url = f"sqlite:///{tmp_path}/new.db"
    (tmp_path / "unprepared.py").write_text(APP.format(url=url, key=KEY))
    done = call("jobs", "list", "--app", "unprepared:scheduler", "--app-dir", str(tmp_path))
    assert (done.exit_code, "there is no SQLite file" in done.stderr) == (1, True)
    assert not (tmp_path / "new.db").exists()


def test_the_scheduler_is_switched_off_and_on(small: Shop) -> None:
    """In all workers, with the reason and the user of the operating system in the audit trail."""
    done = call("scheduler", "stop", "--url", small.url, "--reason", "restore", "--json")
    assert json.loads(done.stdout)["stopped"] is True
    switch = small.scheduler.status().switch
    assert switch is not None
    assert (switch.by, switch.reason) == (getpass.getuser(), "restore")
    done = call("scheduler", "start", "--url", small.url, "--json")
    assert json.loads(done.stdout)["stopped"] is False
    assert not small.scheduler.status().stopped


def test_the_tables_are_checked_and_expired_history_is_deleted(tmp_path: Path) -> None:
    """Before ``duly db upgrade`` both commands fail and create nothing."""
    (tmp_path / "expired.py").write_text(APP.format(url=f"sqlite:///{tmp_path}/old.db", key=KEY))
    of_app = ("expired:scheduler", "--app-dir", str(tmp_path))
    for command in ("check", "prune"):
        refused = call("db", command, *of_app)
        assert (refused.exit_code, "there is no SQLite file" in refused.stderr) == (1, True)
    assert not (tmp_path / "old.db").exists()
    assert call("db", "upgrade", *of_app).exit_code == 0
    assert "are up to date" in call("db", "check", *of_app).stdout
    with sqlite3.connect(tmp_path / "old.db") as conn:
        conn.executemany(
            "insert into duly_event (at, kind) values (?, 'job.paused')",
            [("2000-01-01 00:00:00.000000",), ("9000-01-01 00:00:00.000000",)],
        )
    assert "Deleted 1 expired row from" in call("db", "prune", *of_app).stdout
    assert "Deleted 0 expired rows" in call("db", "prune", *of_app).stdout


def test_the_audit_trail_is_filtered(small: Shop) -> None:
    """``duly events`` finds what one person did, what happened to one run, and when."""
    small.scheduler.pause("mail", actor="ana")
    small.scheduler.pause("sweep", actor="ben")
    run = small.scheduler.run_now("sweep", actor="ben")

    def found(*filters: str) -> list[tuple[str, str]]:
        done = call("events", "--url", small.url, "--json", *filters)
        return [(each["kind"], each["actor"]) for each in json.loads(done.stdout)["items"]]

    assert found("--actor", "ana") == [("job.paused", "ana")]
    assert found("--run", run.id, "--actor", "ben") == [("run.requested", "ben")]
    assert found("--actor", "ana", "--until", "2000-01-01T00:00:00Z") == []
    assert found("--actor", "ana", "--since", "2000-01-01T00:00:00Z") == [("job.paused", "ana")]


def test_a_database_alone_is_never_created(tmp_path: Path) -> None:
    """``--url`` with a wrong name leaves no file, and a database without tables gets none."""
    missing = call("jobs", "list", "--url", f"sqlite:///{tmp_path}/typo.db")
    assert (missing.exit_code, "there is no SQLite file" in missing.stderr) == (1, True)
    assert not (tmp_path / "typo.db").exists()
    (tmp_path / "empty.db").touch()
    empty = call("jobs", "list", "--url", f"sqlite:///{tmp_path}/empty.db")
    assert (empty.exit_code, "duly db upgrade" in empty.stderr) == (1, True)
    with sqlite3.connect(tmp_path / "empty.db") as conn:
        assert conn.execute("select name from sqlite_master").fetchall() == []


def test_many_are_changed_only_when_asked_for(small: Shop) -> None:
    """A filter changes nothing by a dry run, nor without --yes where nobody can answer."""
    target = ("--url", small.url)
    counted = call("jobs", "pause", "--tag", "night", "--dry-run", "--json", *target)
    assert json.loads(counted.stdout) == {"jobs": 2, "dry_run": True}
    assert call("jobs", "pause", "--tag", "night", *target).exit_code == 2
    assert {job.state for job in small.scheduler.jobs()} == {"active"}
    done = call("jobs", "pause", "--tag", "night", "--reason", "moving", "--yes", *target)
    assert done.exit_code == 0, done.output
    assert {job.state for job in small.scheduler.jobs()} == {"paused"}
    (event, *_) = small.scheduler.events(kind="job.paused")
    assert (event.actor, event.reason) == (getpass.getuser(), "moving")


def test_all_pages_are_read(small: Shop) -> None:
    """One page tells on standard error how to go on; ``--all`` prints each item once."""
    task = small.scheduler.task(name="one_of_many")(nothing)
    small.scheduler.add_many(
        {"task": task, "trigger": every(hours=1), "id": f"n{n:04}"} for n in range(600)
    )
    page = call("jobs", "list", "--limit", "5", "--text", "n0", "--url", small.url)
    assert page.stdout.count("\n") == 6
    assert page.stderr == "There is more: --after n0004, or --all\n"
    everything = call("jobs", "list", "--all", "--text", "one_of", "--url", small.url)
    ids = [line.split("\t")[0] for line in everything.stdout.splitlines()]
    assert ids == ["ID", *(f"n{n:04}" for n in range(600))]


def test_a_terminal_gets_a_table(small: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees aligned columns; text of users is not taken for markup."""
    small.scheduler.add("mail", every(hours=1), id="[red]alert[/red]")
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    lines = call("jobs", "list", "--url", small.url).stdout.splitlines()
    assert "\t" not in "".join(lines)
    assert lines[1].startswith("[red]alert[/red]")
    assert len({line.index("every") for line in lines[1:]}) == 1


def test_the_environment_names_the_target(small: Shop) -> None:
    """An option precedes the environment, which may name one target only."""
    named = {"DULY_URL": small.url}
    assert "sweep" in call("jobs", "list", env=named).stdout
    assert call("jobs", "list", "--api", "http://127.0.0.1:1", env=named).exit_code == 1
    two = call("jobs", "list", env={**named, "DULY_API": "http://127.0.0.1:1"})
    assert (two.exit_code, "--url and --api (from the environment)" in two.stderr) == (2, True)
    none = call("jobs", "list")
    assert (none.exit_code, "give --app" in none.stderr) == (2, True)


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"_DULY_COMPLETE": "bash_complete", "COMP_CWORD": "2"}),
        ("zsh", {"_DULY_COMPLETE": "zsh_complete", "COMP_CWORD": "2"}),
        ("fish", {"_DULY_COMPLETE": "fish_complete", "COMP_CWORD": "pa"}),
    ],
)
def test_shells_complete_commands(shell: str, asked: dict[str, str]) -> None:
    """The script of a shell asks duly what may follow, and duly knows its nested commands."""
    assert asked["_DULY_COMPLETE"] in call("completion", shell).stdout
    told = call(env={**asked, "COMP_WORDS": "duly jobs pa"})
    assert "pause" in told.stdout


def test_diff_tells_what_a_start_would_change(database_url: str, tmp_path: Path) -> None:
    """Added, changed by field, orphaned, edited by hand; nothing is written by the comparison."""
    name = f"deployed_{abs(hash(database_url)):x}"
    (tmp_path / f"{name}.py").write_text(DEPLOYED.format(url=database_url))
    before = Scheduler(database_url)
    before.job(every(days=1), id="same")(nothing)
    for number in (1, 2, 3):
        before.job(every(hours=number), id=f"job{number}", timeout=1)(nothing)
    before.prepare()
    before.edit("job1", priority=3)
    revisions = {job.id: job.revision for job in before.jobs()}
    target = (f"{name}:scheduler", "--app-dir", str(tmp_path))
    done = call("jobs", "diff", *target)
    assert done.stdout.splitlines() == [
        "overridden\tjob1", "\toptions.priority", "changed\tjob2", "\toptions.timeout: 1 -> 2",
        "orphaned\tjob3", "added\tjob4",
    ]  # fmt: skip
    assert done.exit_code == 6
    assert json.loads(call("jobs", "diff", *target, "--json").stdout)[-1] == {
        "job": "job4", "kind": "added", "fields": {},
    }  # fmt: skip
    assert {job.id: job.revision for job in before.jobs()} == revisions
    before.store.dispose()


def test_workers_drain(small: Shop) -> None:
    """The worker is asked and shown as draining; an unknown one is an error."""
    small.scheduler.tick()
    worker_id = small.scheduler.worker_id or ""
    drained = call("workers", "drain", worker_id, "--json", "--url", small.url)
    assert drained.exit_code == 0, drained.output
    shown = json.loads(drained.stdout)
    assert (shown["id"], shown["draining"]) == (worker_id, True)
    assert [event.worker_id for event in small.scheduler.events(kind="worker.draining")] == [
        worker_id
    ]
    unknown = call("workers", "drain", "nobody", "--url", small.url)
    assert unknown.exit_code != 0
    assert "no worker has the id 'nobody'" in unknown.output
