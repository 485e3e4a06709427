"""What functions return and raise is code of the application, and the engine must not run it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest

from duly import Run, Scheduler, Snooze
from duly.errors import RunSignal
from tests.support.waiting import wait_until
from tests.worker import process_tasks as tasks
from tests.worker.internals import end_loop, lease_of, replace_claiming

ENGINE = ("duly-worker", "duly-heartbeat", "duly-watchdog")


class Witness:
    """Notes the threads on which code of the application runs."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def note(self) -> None:
        self.threads.add(threading.current_thread().name)


@pytest.fixture
def scheduler(prepared_database_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_database_url, heartbeat="fast")
    yield made
    made.stop(grace=0)


@pytest.fixture
def prepared_database_url(prepared_sqlite_url: str) -> str:
    """These tests do not depend on the database."""
    return prepared_sqlite_url


def result_of(scheduler: Scheduler, function: Callable[..., Any]) -> Any:
    """Return the stored result of a function, executed by a started worker."""
    run_id = scheduler.enqueue(scheduler.task(name="work")(function))
    scheduler.start()
    wait_until(lambda: scheduler.run(run_id).is_terminal)
    run = scheduler.run(run_id)
    assert run.state == "succeeded", run.error_message
    return run.result


@pytest.mark.parametrize("executor", ["thread", "coroutine"])
def test_U07_results_are_read_where_the_function_ran(scheduler: Scheduler, executor: str) -> None:
    """A generator's body runs on the thread of its function, and never on the engine's."""
    witness = Witness()

    def numbers() -> Iterator[int]:
        witness.note()
        yield from range(3)

    async def coroutine() -> Iterator[int]:
        return numbers()

    assert result_of(scheduler, numbers_of(numbers) if executor == "thread" else coroutine) == [
        0, 1, 2,
    ]  # fmt: skip
    assert witness.threads == {"duly-run-1" if executor == "thread" else "duly-loop"}


def numbers_of(numbers: Callable[[], Iterator[int]]) -> Callable[[], Iterator[int]]:
    def function() -> Iterator[int]:
        return numbers()

    return function


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: iter(itertools.count()), "32768 items", id="an endless iterator"),
        pytest.param(lambda: [itertools.count()], "32768 items", id="one inside a list"),
        pytest.param(lambda: range(15_000_000), "32768 items", id="15 million numbers"),
        pytest.param(lambda: map(str, range(100_000)), "32768 items", id="a long map"),
        pytest.param(lambda: {"a": "x" * 10_000_000}, "10000002 bytes", id="a long text"),
    ],
)
def test_U07_a_result_that_is_too_large_is_refused_before_it_is_encoded(
    scheduler: Scheduler, make: Callable[[], Any], words: str
) -> None:
    """The run succeeds, and its result says why it is not stored."""
    result = result_of(scheduler, make)
    assert words in result["not_stored"]


class Exits:
    """A value whose encoding ends the process, if it may."""

    def __iter__(self) -> Iterator[int]:
        raise SystemExit(7)

    def __len__(self) -> int:
        raise SystemExit(7)


def test_U07_a_result_may_raise_anything_while_it_is_read(scheduler: Scheduler) -> None:
    """``SystemExit`` in a result's own code costs the result and nothing else."""
    assert "not_stored" in result_of(scheduler, Exits)


class Rude(Exception):
    """An exception whose message ends the thread that asks for it."""

    def __str__(self) -> str:
        raise SystemExit("the end")


class _Zone(tzinfo):
    """A time zone that notes who asks."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def utcoffset(self, _moment: datetime | None) -> Any:
        self._witness.note()
        return UTC.utcoffset(None)

    def dst(self, _moment: datetime | None) -> None:
        return None

    def tzname(self, _moment: datetime | None) -> str:
        return "noted"


def test_U07_an_error_may_raise_anything_while_it_is_described(scheduler: Scheduler) -> None:
    """The run fails under the error's type, the worker is healthy, and the next run succeeds."""

    @scheduler.task()
    def rude() -> None:
        raise Rude

    @scheduler.task()
    def polite() -> str:
        return "thanks"

    scheduler.start()
    failed = scheduler.enqueue(rude)
    wait_until(lambda: scheduler.run(failed).is_terminal)
    assert scheduler.run(failed).error_type == "Rude"
    done = scheduler.enqueue(polite)
    wait_until(lambda: scheduler.run(done).state == "succeeded")
    wait_until(lambda: scheduler.health().ok)


def test_U07_a_slow_message_delays_its_own_run_only(scheduler: Scheduler) -> None:
    """While one error is being described, other runs start and end, and jobs fire."""
    asked, leave = threading.Event(), threading.Event()
    witness = Witness()

    class Slow(Exception):
        def __str__(self) -> str:
            witness.note()
            asked.set()
            leave.wait(240)
            return "at last"

    @scheduler.task()
    def slow() -> None:
        raise Slow

    @scheduler.task()
    def quick() -> None: ...

    scheduler.start()
    failing = scheduler.enqueue(slow)
    assert asked.wait(240)
    try:
        other = scheduler.enqueue(quick)
        wait_until(lambda: scheduler.run(other).state == "succeeded")
        assert scheduler.run(failing).state == "running"
    finally:
        leave.set()
    wait_until(lambda: scheduler.run(failing).state == "failed")
    assert scheduler.run(failing).error_message == "at last"
    assert not any(name.startswith(ENGINE) for name in witness.threads)


def test_U07_signals_are_read_where_the_function_ran(scheduler: Scheduler) -> None:
    """The time zone of ``Snooze(until=…)`` may be code of the application too."""
    witness = Witness()

    @scheduler.task()
    def later(run: Run) -> None:
        raise Snooze(datetime(2035, 1, 1, tzinfo=_Zone(witness)))

    run_id = scheduler.enqueue(later)
    scheduler.start()
    wait_until(lambda: scheduler.run(run_id).due_at.year == 2035)
    assert witness.threads == {"duly-run-1"}


def test_U07_a_malformed_signal_fails_its_run(scheduler: Scheduler) -> None:
    """A subclass that forgets to call its base class is described instead of obeyed."""

    class Forgetful(Snooze):
        def __init__(self) -> None:
            RunSignal.__init__(self, "later, some day")

    @scheduler.task()
    def work() -> None:
        raise Forgetful

    run_id = scheduler.enqueue(work)
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.error_type) == ("failed", "Forgetful")


def test_U07_arguments_are_validated_where_the_function_runs(scheduler: Scheduler) -> None:
    """A validator of the application that takes long holds up its own run only."""
    from typing import Annotated

    from pydantic import AfterValidator

    witness = Witness()

    def validate(value: int) -> int:
        witness.note()
        return value

    def work(number: Annotated[int, AfterValidator(validate)]) -> int:
        return number

    work.__annotations__["number"] = Annotated[int, AfterValidator(validate)]
    run_id = scheduler.enqueue(scheduler.task()(work), number=3)
    witness.threads.clear()
    scheduler.start()
    wait_until(lambda: scheduler.run(run_id).state == "succeeded")
    assert witness.threads == {"duly-run-1"}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("function", "state", "words"),
    [
        pytest.param(tasks.endless, "succeeded", "32768 items", id="result"),
        pytest.param(tasks.rude, "failed", "SystemExit", id="error"),
    ],
)
def test_U07_a_process_reads_its_results_and_errors_too(
    scheduler: Scheduler, function: Callable[..., Any], state: str, words: str
) -> None:
    """``executor="process"`` behaves as threads do."""
    run_id = scheduler.enqueue(scheduler.task(executor="process")(function).name)
    scheduler.tick()
    run = scheduler.run(run_id)
    assert run.state == state
    assert words in (run.error_message or str(run.result))


@pytest.mark.processes
def test_U07_arguments_that_changed_fail_at_once_in_a_process(scheduler: Scheduler) -> None:
    """No retry helps, whatever the executor; the error says what has changed."""
    from duly import Retry

    name = scheduler.task(executor="process", retry=Retry(attempts=3))(tasks.add).name
    run_id = scheduler.enqueue(name, a=1)
    from duly.store import runs

    with scheduler.store.write() as tx:
        runs.change(tx, [run_id], args='{"gone": 1}')
    scheduler.tick()
    run = scheduler.run(run_id)
    assert (run.state, run.error_type) == ("failed", "ArgumentsChanged")


# -------------------------------------------------------------------------------- the loop


def test_U07_the_loop_survives_whatever_a_step_raises(scheduler: Scheduler) -> None:
    """``SystemExit`` in a step is logged and reported, and the next step is taken."""
    raised = threading.Event()

    def exiting_once(claim: Callable[..., Any]) -> Callable[..., Any]:
        def exits(*args: Any) -> Any:
            if not raised.is_set():
                raised.set()
                raise SystemExit("in a step")
            return claim(*args)

        return exits

    replace_claiming(scheduler, exiting_once)
    run_id = scheduler.enqueue(scheduler.task(name="work")(lambda: None))
    scheduler.start()
    wait_until(lambda: scheduler.run(run_id).state == "succeeded")
    assert raised.is_set()
    wait_until(lambda: scheduler.health().ok)


def test_U07_a_loop_whose_thread_has_ended_is_restarted(scheduler: Scheduler) -> None:
    """Health reports it until the heartbeat has started another thread; then runs are executed."""
    lease = lease_of(scheduler)
    supervise, lease.supervise = lease.supervise, lambda: None
    scheduler.start()
    wait_until(lambda: scheduler.health().ok)
    end_loop(scheduler)
    health = scheduler.health()
    assert (health.ok, health.detail) == (False, "the loop's thread has ended")
    lease.supervise = supervise
    wait_until(lambda: scheduler.health().ok)
    run_id = scheduler.enqueue(scheduler.task(name="work")(lambda: None))
    wait_until(lambda: scheduler.run(run_id).state == "succeeded")


def test_U07_a_worker_whose_loop_stands_is_fenced(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat does not keep its runs for ever; when the loop moves again, it works again."""
    from duly.worker import loop as loop_module

    leave = threading.Event()
    leave.set()
    replace_claiming(scheduler, lambda claim: lambda *args: leave.wait(240) and claim(*args))
    scheduler.start()
    wait_until(lambda: scheduler.health().ok)
    monkeypatch.setattr(loop_module, "STANDING_AFTER", 0.5)
    leave.clear()
    try:
        wait_until(lambda: "has not ended for" in (scheduler.health().detail or ""))
        wait_until(lambda: scheduler.worker_id is None)
        assert not scheduler.health().ok
    finally:
        leave.set()
    wait_until(lambda: scheduler.worker_id is not None and scheduler.health().ok)
    assert scheduler.events(kind="worker.fenced")
