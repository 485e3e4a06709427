"""The awaitable twin of every facade call: one wrapper, no second implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from duly.model.step import Step
from duly.operations.lifecycle import Living


class Aio:
    """``await scheduler.aio.add(...)`` is ``scheduler.add(...)`` without blocking the event loop.

    Calls hop to a thread; with an asyncio session they run inside it, by SQLAlchemy's own
    ``run_sync``, so they belong to the caller's transaction.
    """

    def __init__(self, scheduler: Living) -> None:
        self._scheduler = scheduler

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._scheduler, name)
        if name.startswith("_") or not callable(method):
            raise AttributeError(f"scheduler.aio has no call named {name!r}")

        async def call(*args: Any, session: Any = None, **options: Any) -> Any:
            if session is None:
                return await asyncio.to_thread(method, *args, **options)
            if not hasattr(session, "run_sync"):
                return await asyncio.to_thread(method, *args, session=session, **options)
            await asyncio.to_thread(self._scheduler.store.prepare)
            return await session.run_sync(lambda held: method(*args, session=held, **options))

        call.__name__, call.__doc__ = name, method.__doc__
        return call

    async def start(self) -> None:
        """`Scheduler.start`; coroutine jobs run on the loop that awaits this."""
        self._scheduler.attach(asyncio.get_running_loop())
        await asyncio.to_thread(self._scheduler.start)

    async def tick(self, *, wait: bool = True) -> bool:
        """`Scheduler.tick`; coroutine jobs run on the loop that awaits this."""
        self._scheduler.attach(asyncio.get_running_loop())
        return await asyncio.to_thread(self._scheduler.tick, wait=wait)

    async def run_due(self, *, wait: float | None = 20) -> Step:
        """`Scheduler.run_due`; unless it runs, coroutine jobs run on the loop that awaits this."""
        if self._scheduler.state == "stopped":
            self._scheduler.attach(asyncio.get_running_loop())
        return await asyncio.to_thread(self._scheduler.run_due, wait=wait)
