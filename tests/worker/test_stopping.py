"""Timeouts, cancellation and orderly stops: how running functions are ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from duly import Retry, Run, Scheduler
from duly.errors import LifecycleError, StateError
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step


def reach(scheduler: Scheduler, run_id: str, state: str) -> None:
    """Step until a run is in a state."""

    def there() -> bool:
        step(scheduler)
        return scheduler.run(run_id).state == state

    wait_until(there, what=f"run {state}")


def test_a_coroutine_that_exceeds_its_timeout_is_cancelled_and_fails(world: World) -> None:
    """``CancelledError`` is raised in the coroutine, and the run fails as timed out."""
    scheduler = world.scheduler()
    started, cancelled = threading.Event(), threading.Event()

    @scheduler.task(timeout=5)
    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    run_id = scheduler.enqueue(endless)
    step(scheduler)
    assert started.wait(240)
    world.clock.advance(5)
    reach(scheduler, run_id, "failed")
    assert cancelled.wait(240)
    assert scheduler.run(run_id).error_type == "TimedOut"


def test_a_function_on_a_thread_that_exceeds_its_timeout_keeps_its_slot(world: World) -> None:
    """Its result is ignored, `run.cancelled` becomes true, and it keeps its slot until it ends."""
    scheduler = world.scheduler(queues={"default": 1})
    started, leave = threading.Event(), threading.Event()
    seen: list[bool] = []

    @scheduler.task(timeout=5)
    def stubborn(run: Run) -> str:
        started.set()
        assert leave.wait(240)
        seen.append(run.cancelled)
        return "too late"

    @scheduler.task()
    def other() -> None: ...

    run_id = scheduler.enqueue(stubborn)
    step(scheduler)
    assert started.wait(240)
    world.clock.advance(5)
    reach(scheduler, run_id, "failed")
    waiting = scheduler.enqueue(other)
    step(scheduler)
    assert scheduler.run(waiting).state == "ready"
    leave.set()
    reach(scheduler, waiting, "succeeded")
    assert seen == [True]
    run = scheduler.run(run_id)
    assert (run.state, run.result, run.error_type) == ("failed", None, "TimedOut")


def test_a_timeout_is_retried_like_any_failure(world: World) -> None:
    """The second attempt of a timed-out run succeeds."""
    scheduler = world.scheduler()
    attempts: list[int] = []
    started = threading.Event()

    @scheduler.task(timeout=5, retry=Retry(attempts=2, wait=1, jitter=0))
    async def slow_once(run: Run) -> str:
        attempts.append(run.attempt)
        if run.attempt == 1:
            started.set()
            await asyncio.Event().wait()
        return "done"

    run_id = scheduler.enqueue(slow_once)
    step(scheduler)
    assert started.wait(240)
    world.clock.advance(5)
    reach(scheduler, run_id, "scheduled")
    world.clock.advance(2)
    reach(scheduler, run_id, "succeeded")
    assert attempts == [1, 2]


def test_cancelling_a_ready_run_takes_effect_at_once(world: World) -> None:
    """A ready run is cancelled in the same transaction and never runs."""
    scheduler = world.scheduler()
    ran = []

    @scheduler.task()
    def work() -> None:
        ran.append(1)

    run_id = scheduler.enqueue(work)
    assert scheduler.cancel(run_id, actor="ana").state == "cancelled"
    scheduler.tick()
    assert ran == []
    with pytest.raises(StateError, match="cancelled"):
        scheduler.cancel(run_id)


def test_cancel_of_a_running_coroutine_from_another_process(world: World) -> None:
    """The request is stored; the run's worker finds it and cancels the coroutine."""
    worker, other = world.scheduler(), world.scheduler()
    started = threading.Event()

    @worker.task()
    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    run_id = worker.enqueue(endless)
    step(worker)
    assert started.wait(240)
    assert other.cancel(run_id).cancel_requested
    world.clock.advance(2)
    reach(worker, run_id, "cancelled")


def test_stop_waits_for_running_functions(world: World) -> None:
    """A run that ends within the grace is completed, not repeated."""
    scheduler = world.scheduler()
    started, leave = threading.Event(), threading.Event()

    @scheduler.task()
    def work() -> str:
        started.set()
        assert leave.wait(240)
        return "done"

    run_id = scheduler.enqueue(work)
    step(scheduler)
    assert started.wait(240)
    stopper = threading.Thread(target=scheduler.stop, args=(20,))
    stopper.start()
    leave.set()
    stopper.join(20)
    assert (scheduler.run(run_id).state, scheduler.workers()) == ("succeeded", [])


def test_stop_gives_back_what_does_not_finish_without_spending_its_attempt(world: World) -> None:
    """After the grace the run is ready for another worker, and its attempt is not counted."""
    first, second = world.scheduler(), world.scheduler()
    started = threading.Event()

    @first.task(name="work")
    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    @second.task(name="work")
    def quick(run: Run) -> int:
        return run.attempt

    run_id = first.enqueue("work")
    step(first)
    assert started.wait(240)
    first.stop(grace=0)
    run = first.run(run_id)
    assert (run.state, run.attempt) == ("ready", 0)
    second.tick()
    run = second.run(run_id)
    assert (run.state, run.result) == ("succeeded", 1)


async def test_stop_on_the_loop_that_runs_coroutines_is_refused(world: World) -> None:
    """It would wait for coroutines that it blocks itself; the error names the alternative."""
    scheduler = world.scheduler()
    await scheduler.aio.tick()
    with pytest.raises(LifecycleError, match=r"await scheduler\.aio\.stop"):
        scheduler.stop()
    await scheduler.aio.stop()


def test_a_stopped_scheduler_starts_again(world: World) -> None:
    """A scheduler may stop and start repeatedly; threads, loops and log capture work each time."""
    scheduler = world.scheduler()

    @scheduler.task()
    def plain(run: Run) -> str:
        run.log.info("here")
        return "plain"

    @scheduler.task()
    async def coroutine() -> str:
        return "coroutine"

    for _ in range(3):
        ids = [scheduler.enqueue(plain), scheduler.enqueue(coroutine)]
        scheduler.tick()
        assert [scheduler.run(run_id).result for run_id in ids] == ["plain", "coroutine"]
        assert len(scheduler.run_log(ids[0])) == 1
        scheduler.stop()


def test_no_thread_outlives_a_stop(world: World) -> None:
    """After stop every thread that the scheduler has started ends."""
    before = set(threading.enumerate())
    scheduler = Scheduler(world.url)

    @scheduler.task()
    def plain() -> None: ...

    @scheduler.task()
    async def coroutine() -> None: ...

    ids = [scheduler.enqueue(plain), scheduler.enqueue(coroutine)]
    scheduler.start()
    wait_until(lambda: all(scheduler.run(run_id).is_terminal for run_id in ids))
    started = set(threading.enumerate()) - before
    assert {"duly-worker", "duly-heartbeat", "duly-loop", "duly-run-1"} <= {
        thread.name for thread in started
    }
    scheduler.stop()
    wait_until(lambda: not any(thread.is_alive() for thread in started))
