"""Executes coroutines on the host's event loop, where the host's own clients and pools work."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any

from duly.errors import LifecycleError
from duly.executors.base import (
    CallResult,
    Done,
    Entered,
    I,
    Invocation,
    refuse_unfinished,
    result_text,
)
from duly.executors.entered_context import enter_on_loop, runs_here
from duly.executors.failure import CallError
from duly.executors.forked import leave_if_forked


class EventLoopExecutor:
    """Runs coroutines on the host's loop, or on one of its own when there is no host loop.

    See `Executor`.
    """

    interruptible = True

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: threading.Thread | None = None
        self._tasks: dict[Invocation, asyncio.Task[None]] = {}
        self._futures: dict[Invocation, Future[Any]] = {}
        self._lock = threading.Lock()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use the host's loop from now on, until `stop`."""
        self._loop = loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop in use."""
        return self._loop

    def enter(self, manager: AbstractAsyncContextManager[Any]) -> Entered:
        """See `CoroutineExecutor.enter`."""
        loop = self.running_loop()
        if runs_here(loop):
            raise LifecycleError(
                "the asynchronous resources= need the event loop that this call would block; use "
                "the awaitable form, for example: await scheduler.aio.start()"
            )
        return enter_on_loop(manager, loop)

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `Executor.submit`."""
        try:
            self.running_loop().call_soon_threadsafe(self._begin, invocation, done)
        except RuntimeError as error:
            closed = asyncio.CancelledError(f"the event loop is closed: {error}")
            done(invocation, CallResult(error=CallError.of(closed)))

    def interrupt(self, invocation: Invocation) -> None:
        """Cancel the coroutine's task."""
        if (future := self._futures.get(invocation)) is not None:
            future.cancel()
            return
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._cancel, invocation)

    def finish(self, awaitable: Awaitable[Any], invocation: Invocation) -> Any:
        """Wait, on another thread, until what a plain function has returned is awaited.

        A decorator may hide that a function is a coroutine function, and an ``await`` may be
        forgotten: a run whose coroutine is never awaited would succeed without doing anything.
        """
        work = awaited(awaitable)
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.running_loop())
        except RuntimeError:
            work.close()
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            raise
        self._futures[invocation] = future
        try:
            if invocation.run.cancelled:  # asked before the future was known
                future.cancel()
            return future.result()
        finally:
            del self._futures[invocation]

    def stop(self) -> None:
        """Stop the executor's own loop, but not the host's."""
        with self._lock:
            thread, loop = self._own, self._loop
            self._own = self._loop = None
        if thread is None or loop is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)

    def running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop to use: the host's, or one of its own, started now if necessary."""
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_serve, args=(loop,), name="duly-loop", daemon=True
                )
                try:
                    thread.start()
                except BaseException:  # the system refuses another thread; the next call tries it
                    loop.close()
                    raise
                self._loop, self._own = loop, thread
            return self._loop

    def _begin(self, invocation: Invocation, done: Done[Any]) -> None:
        loop, name = asyncio.get_running_loop(), f"duly {invocation.run.id}"
        task = loop.create_task(_call(invocation, done), name=name)
        self._tasks[invocation] = task
        task.add_done_callback(lambda _task: self._ended(invocation, _task, done))

    def _ended(self, invocation: Invocation, task: asyncio.Task[None], done: Done[Any]) -> None:
        del self._tasks[invocation]
        if task.cancelled():  # before its first step, so that `_call` reported nothing
            done(invocation, CallResult(error=CallError.of(asyncio.CancelledError())))

    def _cancel(self, invocation: Invocation) -> None:
        task = self._tasks.get(invocation)
        if task is not None:
            task.cancel()


async def _call(invocation: Invocation, done: Done[Any]) -> None:
    done(invocation, await call(invocation))


async def call(invocation: Invocation) -> CallResult:
    """Call a coroutine function; however that ends is its result."""
    began, pid = invocation.steady(), os.getpid()
    try:
        with invocation.surroundings():
            value = await awaited(invocation.function(**invocation.arguments()))
        leave_if_forked(pid)
        text, failure = result_text(value), None
    except BaseException as error:  # noqa: BLE001 - whatever ends the call is its outcome
        leave_if_forked(pid, error)
        text, failure = None, CallError.of(error)
    return CallResult(text, failure, invocation.steady() - began)


async def awaited(value: Any) -> Any:
    """Await a value, and what that gives, until it is not awaitable.

    Raises:
        ConfigurationError: it is an asynchronous generator, which nothing iterates.
    """
    while inspect.isawaitable(value):
        value = await value
    refuse_unfinished(value)
    return value


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
