"""What Duly itself logs: levels, fields and tracebacks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from duly import Retry, Run, Scheduler
from duly.run_log import RUN_FIELDS
from tests.support.processes import Children
from tests.worker import process_tasks as tasks
from tests.worker.conftest import World, step
from tests.worker.internals import die


@pytest.fixture
def world(prepared_sqlite_url: str) -> Iterator[World]:
    """These tests do not depend on the database."""
    made = World(prepared_sqlite_url)
    yield made
    made.close()


def about(caplog: pytest.LogCaptureFixture, run_id: str) -> list[logging.LogRecord]:
    """Return the records about a run."""
    return [record for record in caplog.records if vars(record).get("duly_run") == run_id]


def test_U04_a_retry_is_a_warning_and_the_final_failure_an_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The error has a traceback; both have the ids of the run as fields."""
    scheduler = world.scheduler()

    @scheduler.task(retry=Retry(attempts=2, wait=10, jitter=0))
    def work() -> None:
        raise LookupError("no\nshelf")

    run_id = scheduler.enqueue(work)
    scheduler.tick()
    world.forward(scheduler, 10)
    retried, failed = about(caplog, run_id)
    assert (retried.levelname, retried.exc_info) == ("WARNING", None)
    assert "LookupError: no shelf; the next attempt is due at" in retried.getMessage()
    assert failed.levelname == "ERROR"
    assert "no attempts are left" in failed.getMessage()
    fields = [vars(failed)[name] for name in RUN_FIELDS]
    assert fields == [run_id, None, "work", "default", 2]
    assert failed.exc_info is not None
    kind, error, _trace = failed.exc_info
    assert (kind and kind.__name__, str(error)) == ("LookupError", "no\nshelf")
    shown = logging.Formatter().format(failed)
    assert 'raise LookupError("no\\nshelf")' in shown
    assert "Traceback" in shown


@pytest.mark.processes
def test_U04_a_failure_in_a_process_has_its_own_traceback(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback in the log is that of the child process."""
    scheduler = world.scheduler()
    name = scheduler.task(executor="process")(tasks.raise_this).name
    run_id = scheduler.enqueue(name, what="key")
    scheduler.tick()
    (failed,) = about(caplog, run_id)
    assert failed.levelname == "ERROR"
    assert "in raise_this" in logging.Formatter().format(failed)


def test_U04_a_run_that_its_worker_does_not_survive_is_an_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The death of a worker is an error, and so is the run that fails with it."""
    first, second = world.scheduler(), world.scheduler()
    started, leave = threading.Event(), threading.Event()
    for scheduler in (first, second):

        @scheduler.task(name="work", on_crash="fail", retry=3)
        def work() -> None:
            started.set()
            leave.wait(240)

    run_id = first.enqueue("work")
    die_in_the_middle(first, started)
    second.tick()
    try:
        world.forward(second, 100)
        assert second.run(run_id).error_type == "WorkerLost"
        (failed,) = about(caplog, run_id)
        assert (failed.levelname, vars(failed)["duly_task"]) == ("ERROR", "work")
        assert failed.getMessage().endswith("died; it is not started again.")
        assert any(
            record.levelname == "ERROR" and "is dead; runs released: 1" in record.getMessage()
            for record in caplog.records
        )
    finally:
        leave.set()


def test_U04_a_run_that_is_rescued_is_a_warning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that its worker did not survive has attempts left, and its line does not deny that."""
    first, second = world.scheduler(), world.scheduler()
    started, leave = threading.Event(), threading.Event()
    for scheduler in (first, second):

        @scheduler.task(name="work")
        def work() -> None:
            if not started.is_set():
                started.set()
                leave.wait(240)

    run_id = first.enqueue("work")
    die_in_the_middle(first, started)
    second.tick()
    try:
        world.forward(second, 100)
        assert second.run(run_id).state == "succeeded"
        (rescued,) = about(caplog, run_id)
        assert rescued.levelname == "WARNING"
        assert rescued.getMessage().endswith("died; the next attempt may start at once.")
    finally:
        leave.set()


def test_U04_a_stop_names_the_runs_that_it_interrupts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator who stops a process learns which runs will be started again elsewhere."""
    scheduler = world.scheduler()
    started, never = threading.Event(), threading.Event()

    @scheduler.task()
    def work(run: Run) -> None:
        started.set()
        while not never.wait(0.01):
            run.check()

    run_id = scheduler.enqueue(work)
    step(scheduler)
    assert started.wait(240)
    with caplog.at_level(logging.INFO, "duly"):
        scheduler.stop(grace=0)
    (line,) = about(caplog, run_id)
    assert line.getMessage().endswith(
        "of work did not finish within the grace period; asking it to stop."
    )


def test_U04_nothing_is_logged_about_a_failure_that_was_rolled_back(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is logged once, when it is stored."""
    from duly.errors import DatabaseUnavailable
    from duly.store import completions

    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: 1 // 0)
    run_id = scheduler.enqueue("work")
    scheduler.tick(wait=False)
    add_log = completions.add_log

    def gone(*_args: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(completions, "add_log", gone)
    with pytest.raises(DatabaseUnavailable):
        scheduler.tick()
    assert about(caplog, run_id) == []
    monkeypatch.setattr(completions, "add_log", add_log)
    scheduler.tick()
    assert [record.levelname for record in about(caplog, run_id)] == ["ERROR"]


FIRST_START = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
from duly import Scheduler
from duly.run_log import RUN_FIELDS
Scheduler(sys.argv[1]).tick()
print("done", flush=True)
"""


def test_U04_the_first_start_says_nothing_in_the_name_of_alembic(
    children: Children, sqlite_url: str
) -> None:
    """Duly says in one line that it has created its tables."""
    child = children.python("-c", FIRST_START, sqlite_url)
    child.wait_for("^done")
    assert "alembic" not in child.output()
    assert "duly.store: Created Duly's tables" in child.output()


def test_U04_a_line_of_a_run_names_its_run(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Lines of ``run.log`` have the same fields, for logs in JSON."""
    scheduler = world.scheduler()

    @scheduler.task()
    def work(run: Run) -> None:
        run.log.warning("here", extra={"duly_task": "its own"})

    run_id = scheduler.enqueue(work)
    scheduler.tick()
    (line,) = about(caplog, run_id)
    assert (vars(line)["duly_attempt"], vars(line)["duly_task"]) == (1, "its own")


def die_in_the_middle(scheduler: Scheduler, started: threading.Event) -> None:
    """Start what is due, and let the worker die once a function has said that it is executing."""
    step(scheduler)
    assert started.wait(240)
    die(scheduler)
