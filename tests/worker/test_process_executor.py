"""Functions in child processes: isolated, killable, and unable to harm other runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from duly import Retry, Scheduler, every
from duly.errors import ConfigurationError
from tests.support.processes import Children
from tests.support.waiting import wait_until
from tests.worker import process_tasks as tasks
from tests.worker.conftest import World, step

pytestmark = pytest.mark.processes


@pytest.fixture
def prepared_database_url(prepared_sqlite_url: str) -> str:
    """These tests do not depend on the database."""
    return prepared_sqlite_url


def register(scheduler: Scheduler, function: Callable[..., Any], **options: Any) -> str:
    """Register a function for a child process, and return the task's name."""
    return scheduler.task(executor="process", **options)(function).name


def reach(scheduler: Scheduler, run_id: str, state: str) -> None:
    """Step until a run is in a state."""

    def there() -> bool:
        step(scheduler)
        return scheduler.run(run_id).state == state

    wait_until(there, what=f"run {state}")


def pid_in(folder: Path) -> int:
    """Wait for the process id that a function writes, and return it."""

    def noted() -> str:
        path = folder / "pid"
        return path.read_text() if path.exists() else ""

    return int(wait_until(noted, what="a process"))


def ended(pid: int) -> bool:
    """Return whether a process has ended, even if it is still a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_runs_in_another_process_with_its_context(world: World) -> None:
    """The pid differs, the facts are the same, and one process serves several runs."""
    scheduler = world.scheduler()
    name = register(scheduler, tasks.where)
    scheduler.add(name, every(seconds=60), id="j")
    scheduler.tick()
    world.forward(scheduler, 60)
    (first,) = scheduler.runs(job="j")
    assert first.state == "succeeded", first.error_message
    told = first.result
    assert told["pid"] != os.getpid() == told["parent"]
    assert told["key"] == first.id
    assert told["attempt"] == 1
    assert first.scheduled_for is not None
    assert told["nominal"] == first.scheduled_for.isoformat()
    assert (told["previous"], told["year"]) == (None, world.clock.now().year)
    assert (told["main"], told["main_thread"]) == (None, True)
    world.forward(scheduler, 60)
    second = scheduler.runs(job="j")[0].result
    assert second["pid"] == told["pid"]
    assert first.finished_at is not None
    assert second["previous"] == first.finished_at.isoformat()


def test_arguments_and_results_cross_as_json(world: World) -> None:
    """Defaults apply, a too large result is reported, and functions may start processes."""
    scheduler = world.scheduler()
    for function in (tasks.add, tasks.huge, tasks.shell):
        register(scheduler, function)
    one, two = scheduler.enqueue("add", a=40), scheduler.enqueue("add", a=40, b=-1)
    huge, shell = scheduler.enqueue("huge"), scheduler.enqueue("shell")
    scheduler.tick()
    assert [scheduler.run(run_id).result for run_id in (one, two)] == [42, 39]
    assert "10000002 bytes" in scheduler.run(huge).result["not_stored"]
    assert scheduler.run(shell).result == "hello\n"


def test_progress_counters_and_log_come_across(world: World) -> None:
    """The function's reports are stored as if it ran here, even before it ends."""
    scheduler = world.scheduler()
    run_id = scheduler.enqueue(register(scheduler, tasks.talk))
    scheduler.tick()
    run = scheduler.run(run_id)
    assert run.state == "succeeded", run.error_message
    assert run.progress is not None
    assert (run.progress.done, run.progress.total, run.progress.note) == (3, 3, "half way")
    assert run.counters == {"seen": 3}
    lines = [(line.level, line.logger, line.message) for line in scheduler.run_log(run_id)]
    assert lines == [
        *(("INFO", "duly.run", f"line {number}") for number in range(3)),
        ("WARNING", "app", "a warning"),
    ]


def test_the_log_is_bounded_across_processes_too(world: World) -> None:
    """1,000 lines are stored, with the number of dropped ones."""
    scheduler = world.scheduler()
    run_id = scheduler.enqueue(register(scheduler, tasks.talk), lines=1500)
    scheduler.tick()
    assert len(scheduler.run_log(run_id)) == 1000
    assert "501 log lines were dropped" in (scheduler.run(run_id).reason or "")


def test_errors_and_signals_come_across(world: World) -> None:
    """Type, message and traceback are those of the child; RetryAfter, Snooze and Discard work."""
    scheduler = world.scheduler()
    name = register(scheduler, tasks.raise_this, retry=Retry(attempts=2, wait=100, jitter=0))
    ids = {
        what: scheduler.enqueue(name, what=what)
        for what in ("key", "retry", "snooze", "until", "discard", "exit")
    }
    step(scheduler)
    runs = {}
    for what, run_id in ids.items():
        reach(scheduler, run_id, "discarded" if what == "discard" else "scheduled")
        runs[what] = scheduler.run(run_id)
    now = world.clock.now()
    waits = {what: (run.due_at - now).total_seconds() for what, run in runs.items()}
    assert (waits["key"], waits["retry"], waits["snooze"]) == (100, 7, 9)
    assert runs["until"].due_at.year == 2031
    assert (runs["snooze"].attempt, runs["retry"].attempt) == (0, 1)
    assert runs["discard"].reason == "nobody needs it"
    assert (runs["key"].error_type, runs["exit"].error_type) == ("LookupError", "SystemExit")
    assert runs["retry"].error_type == "RetryAfter"
    (attempt,) = scheduler.attempts(ids["key"])
    assert attempt.error_message.startswith("no key")
    assert "in raise_this" in (attempt.traceback or "")


@pytest.mark.parametrize(
    ("how", "words"), [("exit", "exit code 17"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")]
)
def test_a_process_that_dies_fails_its_own_run_only(world: World, how: str, words: str) -> None:
    """The attempt fails with the cause of death; other and later runs are unaffected."""
    scheduler = world.scheduler()
    die, add = register(scheduler, tasks.die), register(scheduler, tasks.add)
    others = [scheduler.enqueue(add, a=n) for n in range(4)]
    dead = scheduler.enqueue(die, how=how)
    scheduler.tick()
    run = scheduler.run(dead)
    assert (run.state, run.error_type) == ("failed", "ProcessDied")
    assert words in (run.error_message or "")
    assert [scheduler.run(run_id).state for run_id in others] == ["succeeded"] * 4
    again = scheduler.enqueue(add, a=1)
    scheduler.tick()
    assert scheduler.run(again).result == 3


def test_a_death_is_noticed_while_the_processes_children_live(world: World, tmp_path: Path) -> None:
    """A death is noticed even if a grandchild holds the connection open."""
    scheduler = world.scheduler()
    run_id = scheduler.enqueue(register(scheduler, tasks.orphan), folder=str(tmp_path))
    try:
        scheduler.tick()
        assert "exit code 5" in (scheduler.run(run_id).error_message or "")
    finally:
        wait_until(lambda: ended(int((tmp_path / "grandchild").read_text())))


@pytest.mark.parametrize("how", ["sleep", "busy", "deaf", "inside"])
def test_a_timeout_ends_the_process(world: World, tmp_path: Path, how: str) -> None:
    """The function is killed whatever it does, its run times out, and its slot is free at once."""
    scheduler = world.scheduler(queues={"default": 1})
    name = register(scheduler, tasks.hang, timeout=5)
    run_id = scheduler.enqueue(name, folder=str(tmp_path), how=how)
    step(scheduler)
    pid = pid_in(tmp_path)
    world.clock.advance(5)
    reach(scheduler, run_id, "failed")
    run = scheduler.run(run_id)
    assert run.error_type == "TimedOut"
    assert ended(pid)
    assert (tmp_path / "ended").exists() == (how in ("sleep", "busy"))
    with scheduler.store.read() as conn:
        occupied = "select count(*) from duly_run where occupied"
        assert conn.exec_driver_sql(occupied).scalar() == 0
    after = scheduler.enqueue(register(scheduler, tasks.add), a=1)
    reach(scheduler, after, "succeeded")


def test_a_cancellation_ends_the_process(world: World, tmp_path: Path) -> None:
    """On request of another process the run is cancelled and its function interrupted."""
    scheduler, other = world.scheduler(), world.scheduler()
    run_id = scheduler.enqueue(register(scheduler, tasks.polite), folder=str(tmp_path))
    step(scheduler)
    wait_until((tmp_path / "pid").exists)
    other.cancel(run_id)
    world.clock.advance(2)
    reach(scheduler, run_id, "cancelled")
    assert (tmp_path / "cancelled True").exists()


def test_stop_waits_for_the_grace_then_gives_back(world: World, tmp_path: Path) -> None:
    """Functions that end in time complete; others are killed and given back uncounted."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "quick").mkdir()
    first, second = world.scheduler(), world.scheduler()
    quick = first.enqueue(register(first, tasks.wait_for), folder=str(tmp_path / "quick"))
    slow = first.enqueue(register(first, tasks.hang), folder=str(tmp_path / "slow"))
    step(first)
    pids = [pid_in(tmp_path / "quick"), pid_in(tmp_path / "slow")]
    (tmp_path / "quick" / "go").touch()
    first.stop(grace=1)
    run = first.run(slow)
    assert (run.state, run.attempt) == ("ready", 0)
    assert first.run(quick).state == "succeeded"
    wait_until(lambda: all(map(ended, pids)))
    second.task(name="hang")(lambda folder: "elsewhere")
    second.tick()
    assert second.run(slow).result == "elsewhere"


def test_no_process_outlives_the_worker(
    prepared_sqlite_url: str, children: Children, tmp_path: Path
) -> None:
    """After ``kill -9`` of the worker its child ends, even if it holds the interpreter lock."""
    program = (
        "import sys, threading; from duly import Scheduler;"
        "from tests.worker import process_tasks as tasks;"
        "s = Scheduler(sys.argv[1]); hang = s.task(executor='process')(tasks.hang); s.start();"
        "s.enqueue(hang, folder=sys.argv[2], how='inside'); threading.Event().wait()"
    )
    worker = children.python("-c", program, prepared_sqlite_url, str(tmp_path))
    pid = pid_in(tmp_path)
    worker.signal(signal.SIGKILL)
    wait_until(lambda: ended(pid))


def test_a_module_that_starts_its_scheduler_starts_none_in_a_child(
    prepared_sqlite_url: str, children: Children, tmp_path: Path
) -> None:
    """Importing the application's module in a child process starts no second worker."""
    (tmp_path / "app.py").write_text(
        "import os, sys\n"
        "from duly import Scheduler\n"
        f"s = Scheduler({prepared_sqlite_url!r})\n"
        "@s.task(executor='process')\n"
        "def work() -> int:\n"
        "    return len(s.workers())\n"
        "s.start()\n"
    )
    program = (
        "import app; from tests.support.waiting import wait_until;"
        "i = app.work.enqueue(); wait_until(lambda: app.s.run(i).is_terminal);"
        "r = app.s.run(i); print('result', r.result, r.error_message); app.s.stop()"
    )
    child = children.python("-c", "import sys; sys.path.insert(0, '');" + program)
    assert child.wait(timeout=240) == 0, child.output()
    assert "result 1 None" in child.output()


def test_a_child_that_died_while_idle_is_replaced(world: World) -> None:
    """A death between two runs does not fail the next run."""
    scheduler = world.scheduler()
    name = register(scheduler, tasks.where)
    first = scheduler.enqueue(name)
    scheduler.tick()
    os.kill(scheduler.run(first).result["pid"], signal.SIGKILL)
    second = scheduler.enqueue(name)
    scheduler.tick()
    run = scheduler.run(second)
    assert (run.state, run.attempt) == ("succeeded", 1)
    assert run.result["pid"] != scheduler.run(first).result["pid"]


def _nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


class Callback:
    """A callable that cannot be found by a name."""

    __name__ = "callback"

    def __call__(self) -> None: ...


async def coroutine() -> None: ...


def main_function() -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (_nested(), "top of a module"),
        (lambda: None, "top of a module"),
        (Callback(), "top of a module"),
        (coroutine, "coroutine"),
    ],
    ids=["nested", "lambda", "instance", "coroutine"],
)
def test_a_function_that_a_child_cannot_import_is_refused(
    world: World, function: Any, words: str
) -> None:
    """The error is raised at registration, not at the first run."""
    with pytest.raises(ConfigurationError, match=words):
        world.scheduler().task("t", executor="process")(function)


def test_a_function_of_the_main_program_is_refused(world: World) -> None:
    """A child process does not import the main program; the error says what to do."""
    main_function.__module__ = "__main__"
    with pytest.raises(ConfigurationError, match="move it into a module"):
        world.scheduler().task(executor="process")(main_function)


def test_an_unknown_executor_is_refused(world: World) -> None:
    """The error lists the executors."""
    scheduler = world.scheduler()
    with pytest.raises(ConfigurationError, match="'auto', 'process'"):
        scheduler.task(executor="celery")(tasks.add)
    with pytest.raises(ConfigurationError, match="executor="):
        scheduler.job(every(seconds=1), executor="process")(scheduler.task()(tasks.talk))
