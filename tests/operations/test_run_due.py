"""`run_due`: what a platform that freezes idle processes calls from time to time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from duly import Scheduler, SystemClock, every
from duly.errors import ConfigurationError, LifecycleError
from tests.operations.conftest import Make

pytestmark = pytest.mark.timeout(600)
LONG = 60.0
NONE = dict.fromkeys(
    ("succeeded", "failed", "retried", "snoozed", "missed", "skipped", "cancelled", "discarded"), 0
)


def test_what_is_due_is_done_and_told(scheduler: Scheduler) -> None:
    """Fired, executed and written back when it returns; counted by what became of it."""
    scheduler.job(every(hours=1), id="hourly")(hourly)
    assert scheduler.run_due(wait=LONG).runs == NONE
    scheduler.clock.advance(hours=1)  # type: ignore[attr-defined]
    scheduler.enqueue("fail")
    done = scheduler.run_due(wait=LONG)
    assert done.complete
    assert done.runs == NONE | {"succeeded": 1, "failed": 1}
    assert [run.state for run in scheduler.runs(job="hourly")] == ["succeeded"]


def hourly() -> None:
    """A task."""


def test_nobody_takes_the_frozen_process_for_dead(scheduler: Scheduler) -> None:
    """When nothing is left to do the worker leaves; the next call is a new one."""
    for _turn in range(3):
        scheduler.enqueue("work")
        assert scheduler.run_due(wait=LONG).runs["succeeded"] == 1
        assert scheduler.workers() == []
        scheduler.clock.advance(hours=2)  # type: ignore[attr-defined]
    assert scheduler.events(kind="worker.lost") == []


def test_it_returns_in_time_and_goes_on_at_the_next_call(make: Make) -> None:
    """What takes longer is still executed, and written back by a later call."""
    scheduler, gate, entered = make(clock=SystemClock()), threading.Event(), threading.Event()

    @scheduler.task()
    def slow() -> str:
        entered.set()
        gate.wait(LONG)
        return "done"

    run_id = scheduler.enqueue("slow")
    while not entered.is_set():
        assert not scheduler.run_due(wait=0.05).complete
    assert scheduler.run(run_id).state == "running"
    gate.set()
    assert scheduler.run_due(wait=LONG).complete
    assert scheduler.run(run_id).result == "done"
    assert scheduler.run(run_id).attempt == 1


def test_a_running_engine_is_woken_and_waited_for(make: Make) -> None:
    """Where the host has started it, the same call lets it do its work."""
    scheduler = make(clock=SystemClock())

    @scheduler.task()
    def work() -> None: ...

    with scheduler.running():
        run_id = scheduler.enqueue("work")
        assert scheduler.run_due(wait=LONG).complete
        assert scheduler.run(run_id).state == "succeeded"


def test_a_running_engine_is_not_waited_for_too_long(make: Make) -> None:
    """The time is over although something is still executed."""
    scheduler, gate = make(clock=SystemClock()), threading.Event()

    @scheduler.task()
    def slow() -> None:
        gate.wait(LONG)

    with scheduler.running():
        run_id = scheduler.enqueue("slow")
        try:
            assert not scheduler.run_due(wait=0.2).complete
        finally:
            gate.set()
        assert scheduler.run_due(wait=LONG).complete
        assert scheduler.run(run_id).state == "succeeded"


def test_coroutines_run_on_the_callers_loop(make: Make) -> None:
    """Awaited, so that a host's clients and pools work in them."""
    scheduler = make()
    loops = []

    @scheduler.task()
    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    async def host() -> bool:
        await scheduler.aio.enqueue("where")
        done = await scheduler.aio.run_due(wait=LONG)
        assert loops == [asyncio.get_running_loop()]
        return done.complete

    assert asyncio.run(host())


def test_it_does_not_block_the_loop_that_runs_the_jobs(make: Make) -> None:
    """Called without ``aio`` in a coroutine, it could only wait for itself."""
    scheduler = make()

    async def host() -> None:
        scheduler.attach(asyncio.get_running_loop())
        with pytest.raises(LifecycleError, match=r"scheduler\.aio\.run_due"):
            scheduler.run_due(wait=LONG)

    asyncio.run(host())


def test_a_wait_is_a_number_of_seconds(scheduler: Scheduler) -> None:
    """Nothing is done before that is clear."""
    with pytest.raises(ConfigurationError, match="wait"):
        scheduler.run_due(wait=-1)
    assert scheduler.events() == []
