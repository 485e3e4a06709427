"""``Scheduler(resources=…)``: what jobs need is open wherever runs are executed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from duly import Run, Scheduler, every
from duly.errors import ConfigurationError, LifecycleError


class Pool:
    """Two kinds of context manager that note what happens to them."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @contextmanager
    def sync(self) -> Iterator[str]:
        self.seen.append("opened")
        yield "pool"
        self.seen.append("closed")

    @asynccontextmanager
    async def on_loop(self) -> AsyncIterator[asyncio.AbstractEventLoop]:
        self.seen.append("opened")
        task = asyncio.current_task()
        yield asyncio.get_running_loop()
        assert asyncio.current_task() is task  # as task groups need it
        self.seen.append("closed")

    @asynccontextmanager
    async def broken(self) -> AsyncIterator[None]:
        raise ConnectionError("no such host")
        yield


def declare(scheduler: Scheduler, pool: Pool) -> None:
    @scheduler.job(every(hours=1), id="sync")
    def use(run: Run) -> str:
        pool.seen.append("used")
        return str(run.resources)

    @scheduler.job(every(hours=1), id="loop")
    async def use_on_loop(run: Run) -> bool:
        pool.seen.append("used")
        return run.resources is asyncio.get_running_loop()


def test_a_started_scheduler_opens_and_closes_them(prepared_sqlite_url: str) -> None:
    """They open once, before any run, and close after the last one."""
    pool = Pool()
    scheduler = Scheduler(prepared_sqlite_url, resources=pool.sync)
    declare(scheduler, pool)
    for _ in range(2):
        with scheduler.running():
            scheduler.start()
            assert scheduler.run_now("sync", wait=20).result == "pool"
    assert pool.seen == ["opened", "used", "closed"] * 2


@pytest.mark.parametrize("step", ["tick", "run_due"])
def test_steps_open_them_too(prepared_sqlite_url: str, step: str) -> None:
    """`tick` and `run_due` execute runs, so they open what runs need."""
    pool = Pool()
    scheduler = Scheduler(prepared_sqlite_url, resources=pool.on_loop)
    declare(scheduler, pool)
    scheduler.prepare()
    run = scheduler.run_now("loop")
    getattr(scheduler, step)()
    assert scheduler.run(run.id).result is True
    scheduler.stop()
    assert pool.seen == ["opened", "used", "closed"]


def test_in_an_asgi_application_they_live_on_its_loop(prepared_sqlite_url: str) -> None:
    """Coroutine jobs use them on the loop of the requests."""
    pool = Pool()
    scheduler = Scheduler(prepared_sqlite_url, resources=pool.on_loop)
    declare(scheduler, pool)

    async def main() -> None:
        async with scheduler.lifespan():
            run = await scheduler.aio.run_now("loop", wait=20)
            assert run.result is True

    asyncio.run(main())
    assert pool.seen == ["opened", "used", "closed"]


def test_a_start_that_would_wait_for_itself_is_refused(prepared_sqlite_url: str) -> None:
    """On the loop that they need, the awaitable form is named."""
    scheduler = Scheduler(prepared_sqlite_url, resources=Pool().on_loop)

    async def main() -> None:
        with pytest.raises(LifecycleError, match=r"await scheduler\.aio\.start"):
            scheduler.start()
        await scheduler.aio.stop()

    asyncio.run(main())


def test_an_error_on_opening_is_raised_by_start(prepared_sqlite_url: str) -> None:
    """The application does not come up without what its jobs need."""
    scheduler = Scheduler(prepared_sqlite_url, resources=Pool().broken)
    with pytest.raises(ConnectionError, match="no such host"):
        scheduler.start()
    assert scheduler.state == "stopped"
    assert scheduler.workers() == []
    scheduler.stop()


@pytest.mark.parametrize("resources", [7, "pool", Pool().sync()])
def test_what_is_not_a_function_is_refused(resources: Any) -> None:
    """An object that is open already cannot be opened by each process."""
    with pytest.raises(ConfigurationError, match="resources="):
        Scheduler("sqlite:///app.db", resources=resources)


def test_what_is_not_a_context_manager_is_refused(prepared_sqlite_url: str) -> None:
    """The error names the decorators."""
    scheduler = Scheduler(prepared_sqlite_url, resources=lambda: 7)  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="@asynccontextmanager"):
        scheduler.start()


def test_without_resources_a_run_is_told_so(prepared_sqlite_url: str) -> None:
    """``run.resources`` names the setting."""
    scheduler = Scheduler(prepared_sqlite_url)
    declare(scheduler, Pool())
    scheduler.prepare()
    run = scheduler.run_now("sync")
    scheduler.tick()
    scheduler.stop()
    assert "resources=" in (scheduler.run(run.id).error_message or "")
