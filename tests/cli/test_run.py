"""``duly run`` and ``duly worker`` as real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from duly import Scheduler
from duly.cli.main import COMMANDS, main
from tests.support.processes import Children
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
APP = """
import threading
from pathlib import Path
from duly import Scheduler, every
scheduler = Scheduler({url!r}, heartbeat="fast")
number = 3

@scheduler.job(every(seconds=1))
def beat() -> None: ...

@scheduler.task()
def hold() -> None:
    Path("entered").touch()
    threading.Event().wait(240)

def make() -> Scheduler:
    return scheduler
"""
FACTORY = """
from duly import Scheduler
scheduler = Scheduler()

def create_app() -> Scheduler:
    scheduler.use_database("sqlite:///app.db")
    return scheduler
"""
CALL = "from duly.cli.main import main; main(prog_name='duly')"


@pytest.fixture
def look(prepared_database_url: str, tmp_path: Path) -> Iterator[Scheduler]:
    """An application in a file, and a scheduler that inspects its database."""
    (tmp_path / "jobs.py").write_text(APP.format(url=prepared_database_url))
    made = Scheduler(prepared_database_url)
    made.task(name="hold")(nothing)
    yield made
    made.store.dispose()


def nothing() -> None:
    """Has the signature of the application's task."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_gives_back_unfinished_runs(
    look: Scheduler, children: Children, tmp_path: Path, number: int
) -> None:
    """SIGTERM and Ctrl-C shut down gracefully: exit code 0, no attempt used, worker gone."""
    run_id = look.enqueue("hold")
    child = children.python("-c", CALL, "run", "jobs:scheduler", "--grace", "0.2")
    wait_until((tmp_path / "entered").exists)
    child.signal(number)
    assert child.wait() == 0, child.output()
    run = look.run(run_id)
    assert (run.state, run.attempt, run.crashes, run.worker_id) == ("ready", 0, 0, None)
    assert look.workers() == []
    assert "Traceback" not in child.output()


def test_a_second_signal_skips_the_grace_period(
    look: Scheduler, children: Children, tmp_path: Path
) -> None:
    """A second signal gives the run back at once, however long the grace period is."""
    run_id = look.enqueue("hold")
    child = children.python("-c", CALL, "run", "jobs:make", "--grace", "3000")
    wait_until((tmp_path / "entered").exists)
    child.signal(signal.SIGTERM)
    child.wait_for("SIGTERM: shutting down")
    child.signal(signal.SIGTERM)
    assert child.wait() == 0, child.output()
    assert look.run(run_id).state == "ready"


def test_a_worker_executes_and_fires_nothing(
    look: Scheduler, children: Children, tmp_path: Path
) -> None:
    """A worker executes an enqueued run of its queue, and a job due each second does not fire."""
    look.enqueue("hold")
    child = children.python("-c", CALL, "worker", "jobs:scheduler", "--queues", "default=2")
    wait_until((tmp_path / "entered").exists)
    due = look.job("beat").next_fire_at
    assert due is not None
    wait_until(lambda: look.store.clock.now() > due)
    (worker,) = look.workers()
    beats = worker.beat_at
    wait_until(lambda: look.workers()[0].beat_at > beats)
    assert look.runs(job="beat") == []
    assert worker.queues == {"default": 2}
    assert child.running


def test_once_executes_what_is_due_and_exits(look: Scheduler, tmp_path: Path) -> None:
    """Standard output has only the counts as JSON; exit code 0, and no worker remains."""
    first = duly(tmp_path, "run", "--once", "--json", "jobs:scheduler")
    assert first.returncode == 0, first.stderr
    due = look.job("beat").next_fire_at
    assert due is not None
    wait_until(lambda: look.store.clock.now() > due)
    done = duly(tmp_path, "run", "--once", "--json", "jobs:scheduler")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["succeeded"] >= 1
    assert look.workers() == []


def test_once_reports_an_unreachable_database(tmp_path: Path) -> None:
    """An unreachable database ends with exit code 1 and one line."""
    (tmp_path / "jobs.py").write_text(APP.format(url=f"sqlite:///{tmp_path}/nowhere/app.db"))
    done = duly(tmp_path, "run", "--once", "jobs:scheduler")
    assert done.returncode == 1
    assert "does not exist; create it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs"], "MODULE:ATTRIBUTE"),
        (["nojobs:scheduler"], "no module 'nojobs'"),
        (["jobs:schedule"], "did you mean jobs:scheduler?"),
        (["factory:app"], "did you mean factory:create_app?"),
        (["jobs:number"], "not a Scheduler but of type int; did you mean jobs:scheduler?"),
        (["jobs:beat"], "not a Scheduler but of type TaskFunction"),
        (["jobs:scheduler", "--queues", "mail=many"], "is not a valid queue"),
        (["jobs:scheduler", "--queues", "mail=0"], "1 or more"),
    ],
)
def test_a_wrong_call_names_its_error(tmp_path: Path, arguments: list[str], words: str) -> None:
    """A wrong argument ends with exit code 2 and a message that names it, without traceback."""
    (tmp_path / "jobs.py").write_text(APP.format(url=f"sqlite:///{tmp_path}/app.db"))
    (tmp_path / "factory.py").write_text(FACTORY)
    done = duly(tmp_path, "run", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_queue_is_reported(tmp_path: Path) -> None:
    """A queue that no code mentions is served, because calls may name it, with a warning."""
    (tmp_path / "jobs.py").write_text(APP.format(url=f"sqlite:///{tmp_path}/app.db"))
    done = duly(tmp_path, "run", "--once", "jobs:scheduler", "--queues", "defaults")
    assert done.returncode == 0
    assert "uses the queue 'defaults'; did you mean 'default'?" in done.stderr


def test_a_scheduler_without_a_database_only_says_that(tmp_path: Path) -> None:
    """What could not be started is not stopped either: the last line is the error and its cure."""
    (tmp_path / "factory.py").write_text(FACTORY)
    done = duly(tmp_path, "worker", "factory:scheduler")
    assert done.returncode == 2
    assert "this scheduler has no database URL" in done.stderr
    assert "shutting down" not in done.stderr


def test_an_application_that_does_not_load_shows_its_error(tmp_path: Path) -> None:
    """An application that raises on import ends with exit code 1 and its own traceback."""
    (tmp_path / "jobs.py").write_text("1 / 0")
    done = duly(tmp_path, "run", "jobs:scheduler")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_exists(name: str) -> None:
    """The list of commands is static, so each entry is checked against its module."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name


def duly(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder."""
    return subprocess.run(
        [sys.executable, "-c", CALL, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
