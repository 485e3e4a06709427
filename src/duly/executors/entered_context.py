"""An asynchronous context manager that is open on an event loop of another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any


def enter_on_loop(
    manager: AbstractAsyncContextManager[Any], loop: asyncio.AbstractEventLoop
) -> tuple[Any, Callable[[], None]]:
    """Enter a context manager on an event loop of another thread, and wait until that is done.

    One task enters and leaves it, as task groups and cancel scopes require.

    Returns:
        What it returned, and the function that leaves it.
    """
    opened: Future[Any] = Future()
    closing = asyncio.Event()
    task = asyncio.run_coroutine_threadsafe(hold(manager, opened, closing), loop)
    value = opened.result()

    def leave() -> None:
        loop.call_soon_threadsafe(closing.set)
        task.result()

    return value, leave


def runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether the calling thread is running this event loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


async def hold(
    manager: AbstractAsyncContextManager[Any], opened: Future[Any], closing: asyncio.Event
) -> None:
    """Enter a context manager, resolve ``opened`` with its value, and leave it at ``closing``."""
    try:
        async with manager as value:
            opened.set_result(value)
            await closing.wait()
    except BaseException as error:
        if opened.done():
            raise
        opened.set_exception(error)
