"""Calls that wait for runs do not hold up calls that return at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from duly import Scheduler
from duly.errors import TooManyWaiting
from duly.operations.call_threads import MAX_WAITING
from duly.web.problems import Problem

DEADLINE_S = 60


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets the functions of a test end."""
    event = threading.Event()
    yield event
    event.set()


def test_S04_waiting_calls_do_not_hold_up_others(
    prepared_sqlite_url: str, release: threading.Event
) -> None:
    """With as many waits as there may be, a query returns, and one more wait is refused."""
    scheduler = Scheduler(prepared_sqlite_url)

    @scheduler.task()
    def hold() -> None:
        release.wait(DEADLINE_S)

    async def main() -> None:
        run_id = await scheduler.aio.enqueue(hold)
        waits = [
            asyncio.create_task(scheduler.aio.run_due(wait=DEADLINE_S)) for _ in range(MAX_WAITING)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE_S / 2):
            assert [run.id for run in await scheduler.aio.runs()] == [run_id]
            with pytest.raises(TooManyWaiting, match="try again later"):
                await scheduler.aio.run_due()
        assert not all(wait.done() for wait in waits)
        release.set()
        assert all(step.complete for step in await asyncio.gather(*waits))
        assert (await scheduler.aio.run_due()).complete  # places are free again
        await scheduler.aio.stop()

    asyncio.run(main())
    assert Problem.of(TooManyWaiting("")).status == 503


def test_S04_others_cannot_fill_the_threads_of_awaitable_calls(
    prepared_sqlite_url: str, release: threading.Event
) -> None:
    """An application that fills asyncio's own executor does not stop its scheduler."""
    scheduler = Scheduler(prepared_sqlite_url)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        hogs = [loop.run_in_executor(None, release.wait, DEADLINE_S) for _ in range(64)]
        async with asyncio.timeout(DEADLINE_S / 2):
            await scheduler.aio.start()
            assert await scheduler.aio.jobs() == []
            await scheduler.aio.stop()
        release.set()
        await asyncio.gather(*hogs)

    asyncio.run(main())


def test_S04_a_wait_that_is_given_up_frees_its_place(
    prepared_sqlite_url: str, release: threading.Event
) -> None:
    """When its caller has gone, the place is free as soon as the wait ends."""
    scheduler = Scheduler(prepared_sqlite_url)

    async def main() -> None:
        for _ in range(MAX_WAITING + 1):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await scheduler.aio.run_due(wait=0)
            await scheduler.aio.stop()
        assert (await scheduler.aio.run_due()).complete

    asyncio.run(main())
