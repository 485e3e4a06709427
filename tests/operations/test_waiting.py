"""Waiting for runs, giving them another time, and finding them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from duly import Page, Retry, Run, RunRecord, Scheduler, VirtualClock, every
from duly.errors import (
    ConfigurationError,
    NaiveDatetimeError,
    RunNotFound,
    StateError,
)
from duly.testing import testing

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NO_RUN = "019ccc3a-51a0-7000-9900-7485f1b8d015"


@pytest.fixture
def running(prepared_database_url: str) -> Iterator[Scheduler]:
    scheduler = Scheduler(prepared_database_url, heartbeat="fast")

    @scheduler.task()
    def double(n: int) -> int:
        return 2 * n

    @scheduler.task()
    def fail() -> None:
        raise ValueError("no")

    with scheduler.running():
        yield scheduler


async def test_wait_returns_the_finished_run(running: Scheduler) -> None:
    """An enqueued run can be waited for, from a thread and from a coroutine."""
    run_id = await running.aio.enqueue("double", n=4)
    record = await running.aio.wait(run_id, timeout=60)
    assert (record.state, record.result) == ("succeeded", 8)
    assert await asyncio.to_thread(running.wait, run_id) == record
    failed = await running.aio.wait(await running.aio.enqueue("fail"), timeout=60)
    assert (failed.state, failed.error_message) == ("failed", "no")


async def test_a_wait_ends_in_time(running: Scheduler) -> None:
    """A run that does not finish in time is not affected."""
    run_id = await running.aio.enqueue("double", n=4, delay=3600)
    with pytest.raises(
        TimeoutError, match=rf"run {run_id} of 'double' is scheduled after 0.05 s, due at"
    ):
        await running.aio.wait(run_id, timeout=0.05)
    with pytest.raises(TimeoutError, match="is scheduled after 0 s"):
        await asyncio.to_thread(running.wait, run_id, timeout=0)
    with pytest.raises(RunNotFound):
        await running.aio.wait(NO_RUN, timeout=1)
    with pytest.raises(ConfigurationError, match="timeout"):
        await running.aio.wait(run_id, timeout=-1)


async def test_waiting_coroutines_occupy_no_thread(running: Scheduler) -> None:
    """A hundred of them wait while other awaitable calls go on."""
    run_id = await running.aio.enqueue("double", n=1, delay=3600)
    waits = [asyncio.create_task(running.aio.wait(run_id, timeout=100)) for _ in range(100)]
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(running.aio.run(run_id), 60)).state == "scheduled"
    await running.aio.cancel(run_id)
    assert {record.state for record in await asyncio.gather(*waits)} == {"cancelled"}


def test_a_run_cannot_wait_for_itself(running: Scheduler) -> None:
    """It would wait for ever."""

    @running.task()
    def patient(run: Run) -> None:
        running.wait(run.id)

    record = running.wait(running.enqueue("patient"), timeout=60)
    assert record.error_type == "LifecycleError"
    assert "would wait for itself" in (record.error_message or "")


def test_a_stepped_worker_executes_what_is_waited_for(prepared_sqlite_url: str) -> None:
    """In tests and under `tick`, waiting executes what is due; time does not pass."""
    scheduler = Scheduler(prepared_sqlite_url)

    @scheduler.task()
    def double(n: int) -> int:
        return 2 * n

    with testing(scheduler, at=NOON) as world:
        assert scheduler.wait(double.enqueue(n=2)).result == 4
        later = double.enqueue(n=3, delay=60)
        with pytest.raises(TimeoutError, match="due at 2026-05-04 12:01:00 UTC"):
            scheduler.wait(later, timeout=100)
        world.advance(minutes=1)
        assert scheduler.wait(later).result == 6

        @scheduler.task()
        def nested() -> Any:
            return scheduler.wait(double.enqueue(n=1)).result

        run_id = nested.enqueue()
        world.drain()
        assert scheduler.run(run_id).result == 2


# -------------------------------------------------------------------------------- reschedule


@pytest.fixture
def world(prepared_database_url: str) -> Iterator[Scheduler]:
    scheduler = Scheduler(prepared_database_url, clock=VirtualClock(NOON))

    @scheduler.task(expires=600, retry=Retry(attempts=2, wait=60, jitter=0))
    def remind(n: int = 0) -> None:
        if n:
            raise ValueError("again")

    yield scheduler
    scheduler.stop()


def advance(scheduler: Scheduler, **units: float) -> None:
    assert isinstance(scheduler.clock, VirtualClock)
    scheduler.clock.advance(**units)
    scheduler.tick()


def test_a_delayed_run_is_given_another_time(world: Scheduler) -> None:
    """It runs then, neither at its former time nor missed because of that time."""
    run_id = world.enqueue("remind", delay=3600)
    record = world.reschedule(run_id, at=NOON + timedelta(hours=2), actor="ana")
    assert record.due_at == NOON + timedelta(hours=2)
    advance(world, hours=1, minutes=30)
    assert world.run(run_id).state == "scheduled"
    advance(world, minutes=31)
    assert world.run(run_id).state == "succeeded"
    (event,) = world.events(kind="run.rescheduled")
    assert (event.actor, event.run_id) == ("ana", run_id)


def test_a_run_can_be_brought_forward(world: Scheduler) -> None:
    """A time in the past means now; its expiry moves with it."""
    run_id = world.enqueue("remind", delay=3600)
    world.reschedule(run_id, at=NOON)
    world.tick()
    assert world.run(run_id).state == "succeeded"
    late = world.enqueue("remind", delay=3600)
    world.reschedule(late, at=NOON + timedelta(minutes=1))
    advance(world, minutes=12)
    assert world.run(late).state == "missed"


def test_a_retry_can_be_given_another_time(world: Scheduler) -> None:
    """A run that waits for its next attempt is due later, too."""
    run_id = world.enqueue("remind", n=1)
    world.tick()
    assert world.reschedule(run_id, at=NOON + timedelta(hours=5)).attempt == 1
    advance(world, minutes=5)
    assert world.run(run_id).state == "scheduled"
    advance(world, hours=5)
    assert world.run(run_id).state == "failed"


def test_a_run_that_is_due_is_postponed_until_a_worker_has_claimed_it(world: Scheduler) -> None:
    """It waits again, keeps its unique key, and may then wait as long as before."""
    run_id = world.enqueue("remind", unique_key="order-7")
    record = world.reschedule(run_id, at=NOON + timedelta(hours=1), actor="ana")
    assert (record.state, record.due_at) == ("scheduled", NOON + timedelta(hours=1))
    assert world.enqueue("remind", unique_key="order-7") == run_id
    (event,) = world.events(kind="run.rescheduled")
    assert (event.actor, event.detail) == ("ana", {"due_at": "2026-05-04T13:00:00+00:00"})
    advance(world, minutes=59)
    assert world.run(run_id).state == "scheduled"
    advance(world, minutes=10)
    assert world.run(run_id).state == "succeeded"
    late = world.enqueue("remind")
    world.reschedule(late, at=world.clock.now() + timedelta(minutes=1))
    advance(world, minutes=12)
    assert world.run(late).state == "missed"


def test_a_run_that_is_due_can_take_another_place_in_the_queue(world: Scheduler) -> None:
    """With a time in the past it stays ready, and starts before those that are due later."""
    world.configure_worker(queues={"default": 1})
    order: list[int] = []

    @world.task()
    def note(n: int) -> None:
        order.append(n)

    _first, second = note.enqueue(n=1), note.enqueue(n=2)
    record = world.reschedule(second, at=NOON - timedelta(minutes=1))
    assert (record.state, record.due_at) == ("ready", NOON - timedelta(minutes=1))
    world.tick()
    assert order == [2, 1]


def test_a_run_that_has_started_or_ended_keeps_its_time(world: Scheduler) -> None:
    """What a worker has claimed is not changed behind its back."""
    release, begun = threading.Event(), threading.Event()

    @world.task()
    def wait() -> None:
        begun.set()
        release.wait(30)

    run_id = wait.enqueue()
    world.tick(wait=False)
    assert begun.wait(30)
    with pytest.raises(StateError, match=f"run {run_id} is running; only runs that wait to start"):
        world.reschedule(run_id, at=NOON + timedelta(hours=1))
    release.set()
    world.tick()
    with pytest.raises(StateError, match="is succeeded"):
        world.reschedule(run_id, at=NOON + timedelta(hours=1))
    with pytest.raises(RunNotFound):
        world.reschedule(NO_RUN, at=NOON)
    with pytest.raises(NaiveDatetimeError):
        world.reschedule(run_id, at=datetime(2026, 5, 4))  # noqa: DTZ001 - it is refused


# ------------------------------------------------------------------------------- finding runs


def test_a_run_is_found_by_its_unique_key(world: Scheduler) -> None:
    """While it holds the key; afterwards the key is free."""
    run_id = world.enqueue("remind", unique_key="order-7", delay=60)
    world.enqueue("remind", unique_key="order-8", delay=60)
    assert [run.id for run in world.runs(unique_key="order-7")] == [run_id]
    assert world.runs(unique_key="order-9") == []
    advance(world, minutes=2)
    assert world.runs(unique_key="order-7") == []


def test_a_page_tells_whether_there_is_another(world: Scheduler) -> None:
    """No caller takes the first hundred jobs for all of them."""
    for number in range(3):
        world.add("remind", every(hours=1), id=f"job-{number}")
        world.enqueue("remind")
    first = world.jobs(limit=2)
    assert isinstance(first, Page)
    assert ([job.id for job in first], first.more) == (["job-0", "job-1"], True)
    rest = world.jobs(limit=2, after=first[-1].id)
    assert ([job.id for job in rest], rest.more) == (["job-2"], False)
    assert not world.jobs(limit=3).more
    runs: Page[RunRecord] = world.runs(limit=2)
    assert (len(runs), runs.more) == (2, True)
    assert (len(world.runs(limit=2, after=runs[-1].id)), world.runs(limit=3).more) == (1, False)
