"""Executors that keep calls until the test makes them."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any

from duly.executors.base import CallResult, Done, Entered, I, Invocation
from duly.executors.entered_context import hold, runs_here
from duly.executors.event_loop import awaited, call
from duly.executors.failure import CallError

Call = Callable[[Invocation], CallResult]
Pending = deque[tuple[Call, Invocation, Done[Any]]]
"""The calls of all executors of a test, in order."""


class Deferred:
    """An `Executor` that keeps calls until `SteppedExecutors.wait` makes them.

    Args:
        pending: the calls of all executors, in order.
        call: makes a call.
        interruptible: see `Executor`.
    """

    def __init__(
        self,
        pending: Pending,
        call: Call,
        *,
        interruptible: bool = False,
    ) -> None:
        self._pending = pending
        self._call = call
        self.interruptible = interruptible

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `Executor.submit`."""
        self._pending.append((self._call, invocation, done))

    def interrupt(self, invocation: Invocation) -> None:
        """End a call that has not begun; one that has begun cannot be interrupted."""
        for entry in list(self._pending):
            if entry[1] is invocation:
                self._pending.remove(entry)
                entry[2](invocation, CallResult(error=CallError.of(asyncio.CancelledError())))

    def stop(self) -> None:
        """Do nothing: there are no threads."""


class DeferredCoroutines(Deferred):
    """A `CoroutineExecutor` on the application's event loop, while that runs in another thread.

    Otherwise it uses a loop of the test's own, which only runs while it waits for a call.

    Args:
        pending: see `Deferred`.
    """

    def __init__(self, pending: Pending) -> None:
        super().__init__(pending, self._run, interruptible=True)
        self.loop: AbstractEventLoop | None = None
        self._runner: asyncio.Runner | None = None

    def attach(self, loop: AbstractEventLoop) -> None:
        """See `CoroutineExecutor.attach`."""
        self.loop = loop

    def end_unreachable(self, *, stopped: bool = False) -> None:
        """Do nothing: a call only begins when its loop runs."""

    def watch(self, now: float) -> None:
        """Do nothing: the test runs the loop."""

    def trouble(self, now: float) -> str | None:
        """Return ``None``: the test runs the loop."""
        return None

    def finish(self, awaitable: Awaitable[Any], invocation: Invocation) -> Any:
        """See `CoroutineExecutor.finish`."""
        return self._wait_for(awaited(awaitable))

    def enter(self, manager: AbstractAsyncContextManager[Any]) -> Entered:
        """See `CoroutineExecutor.enter`."""
        loop = self.loop
        opened: Future[Any] = Future()
        closing = asyncio.Event()
        if loop is not None and loop.is_running():
            keeper = asyncio.run_coroutine_threadsafe(hold(manager, opened, closing), loop)
            return opened.result(), lambda: _leave(loop, closing, keeper)
        own = self._own().get_loop()
        task = own.create_task(hold(manager, opened, closing))
        value = own.run_until_complete(asyncio.wrap_future(opened, loop=own))
        return value, lambda: _leave(own, closing, task)

    def close(self) -> None:
        """Close the test's own event loop."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _own(self) -> asyncio.Runner:
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner

    def _run(self, invocation: Invocation) -> CallResult:
        result: CallResult = self._wait_for(call(invocation))
        return result

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        loop = self.loop
        if loop is not None and loop.is_running():
            return asyncio.run_coroutine_threadsafe(work, loop).result()
        return self._own().run(work, context=contextvars.copy_context())


def _leave(loop: AbstractEventLoop, closing: asyncio.Event, keeper: Any) -> None:
    """Leave a context manager, and wait for that where it is possible.

    A test that is a coroutine may end its block on the loop itself; the loop then leaves the
    context manager as soon as the test awaits something, or ends.
    """
    if loop.is_closed():
        return
    loop.call_soon_threadsafe(closing.set)
    if loop.is_running():
        if not runs_here(loop):
            keeper.result()
        return
    own = keeper if isinstance(keeper, asyncio.Task) else asyncio.wrap_future(keeper, loop=loop)
    loop.run_until_complete(own)
