"""The threads of awaitable calls: calls that wait do not use up those of calls that return."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from duly.errors import TooManyWaiting

R = TypeVar("R")
THREADS = 16
MAX_WAITING = 16
"""The number of awaitable calls of one scheduler that may wait for runs at the same time."""


class CallThreads:
    """Runs the awaitable calls of one scheduler in threads that nothing else uses.

    The default executor of asyncio has few threads, and belongs to the whole application: calls of
    others, or a few calls that wait for a long run, would hold up every query.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0
        self._waiting = 0
        self._lock = threading.Lock()

    async def call(self, work: Callable[..., R], *args: Any) -> R:
        """Run a call that returns as soon as the database has responded."""
        context = contextvars.copy_context()
        with self._lock:
            called = self._threads().submit(context.run, work, *args)
        return await asyncio.wrap_future(called)

    async def wait(self, work: Callable[..., R], *args: Any) -> R:
        """Run a call that waits for runs, in a thread of its own.

        Raises:
            TooManyWaiting: `MAX_WAITING` such calls wait already.
        """
        with self._lock:
            if self._waiting >= MAX_WAITING:
                raise TooManyWaiting(
                    f"{MAX_WAITING} calls of this scheduler wait for runs already; try again "
                    "later, or do not wait"
                )
            self._waiting += 1
        return await _in_own_thread(work, args, self._has_waited)

    async def stop(self, work: Callable[..., R], *args: Any) -> R:
        """Run a call that ends the scheduler; it is never refused."""
        return await _in_own_thread(work, args, lambda: None)

    def close(self) -> None:
        """End the threads once their calls have returned; a later call starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
            if pool is not None and self._pid == os.getpid():
                pool.shutdown(wait=False)

    def _has_waited(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None or self._pid != os.getpid():  # threads do not survive a fork
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="duly-call")
            self._pid = os.getpid()
        return self._pool


async def _in_own_thread(
    work: Callable[..., R], args: tuple[Any, ...], ended: Callable[[], None]
) -> R:
    """Run a call in a new thread and call ``ended`` when it returns."""
    context = contextvars.copy_context()
    future: Future[R] = Future()
    future.set_running_or_notify_cancel()  # from here on, it can no longer be cancelled

    def run() -> None:
        try:
            result = context.run(work, *args)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            ended()
            future.set_exception(error)
        else:
            ended()
            future.set_result(result)

    try:
        threading.Thread(target=run, name="duly-wait", daemon=True).start()
    except BaseException:
        ended()
        raise
    return await asyncio.wrap_future(future)
