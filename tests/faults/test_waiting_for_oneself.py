"""Calls inside a job that wait for runs, among which is the job's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from duly import Scheduler, every
from duly.errors import LifecycleError
from tests.support.waiting import wait_until


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_sqlite_url, queues={"default": 2})
    yield made
    made.stop()


@pytest.mark.parametrize("call", ["tick", "stop", "run_due"])
@pytest.mark.parametrize("started", [False, True])
def test_U12_a_job_that_would_wait_for_itself_is_refused(
    scheduler: Scheduler, call: str, started: bool
) -> None:
    """The error says so at once: the scheduler neither hangs nor stops itself."""
    errors: list[str] = []

    @scheduler.task()
    def work() -> None:
        with pytest.raises(LifecycleError) as raised:
            getattr(scheduler, call)()
        errors.append(str(raised.value))

    execute(scheduler, lambda: scheduler.enqueue(work), started)
    assert len(errors) == 1
    expected = "steps itself" if (call, started) == ("tick", True) else "and so for itself"
    assert expected in errors[0]
    assert scheduler.state == ("running" if started else "stopped")


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("started", [False, True])
def test_U12_a_job_may_run_another_job_and_wait_for_it(
    prepared_sqlite_url: str, slots: int, started: bool
) -> None:
    """With a free slot the other job is executed meanwhile; without one the call returns anyway."""
    scheduler, seen = Scheduler(prepared_sqlite_url, queues={"default": slots}), list[str]()

    @scheduler.job(every(days=30), id="b")
    def other() -> None: ...

    @scheduler.task()
    def work() -> None:
        seen.append(scheduler.run_now("b", wait=60 if slots > 1 else 0.2).state)

    execute(scheduler, lambda: scheduler.enqueue(work), started)
    assert seen == ["succeeded" if slots > 1 else "ready"]
    scheduler.stop()


def execute(scheduler: Scheduler, enqueue: Callable[[], str], started: bool) -> None:
    """Execute a call by a worker with a loop of its own, or by one that is stepped."""
    if started:
        scheduler.start()
        wait_until(lambda: scheduler.state == "running")
    else:
        scheduler.tick()
    run_id = enqueue()
    if not started:
        scheduler.tick()
    wait_until(lambda: scheduler.run(run_id).is_terminal)
    assert scheduler.run(run_id).state == "succeeded", scheduler.run(run_id).error_message
