"""Executes coroutines on the host's event loop, where the host's own clients and pools work."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
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

SILENT_AFTER = 10.0
"""Seconds without an answer of an event loop on which calls wait, after which that is a problem."""


@dataclass(slots=True, eq=False)
class _Call:
    """One coroutine that a loop executes.

    Attributes:
        loop: that loop.
        give_up: tells who waits for the coroutine that it was cancelled.
        task: the loop's task, once it has begun.
    """

    loop: asyncio.AbstractEventLoop
    give_up: Callable[[], object]
    task: asyncio.Task[Any] | None = None


class EventLoopExecutor:
    """Runs coroutines on the host's loop, or on one of its own when there is no host loop.

    See `Executor`.
    """

    interruptible = True

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: threading.Thread | None = None
        self._calls: dict[Invocation, _Call] = {}
        self._asked: tuple[asyncio.AbstractEventLoop, float] | None = None
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
        loop = self.running_loop()
        call = _Call(loop, lambda: done(invocation, _cancelled(loop)))
        self._calls[invocation] = call
        try:
            loop.call_soon_threadsafe(self._begin, invocation, call, done)
        except RuntimeError:
            self.end_unreachable()

    def interrupt(self, invocation: Invocation) -> None:
        """Cancel the coroutine's task."""
        call = self._calls.get(invocation)
        if call is not None:
            with suppress(RuntimeError):  # the loop is closed
                call.loop.call_soon_threadsafe(_cancel, call)

    def end_unreachable(self, *, stopped: bool = False) -> None:
        """See `CoroutineExecutor.end_unreachable`."""
        for invocation, call in list(self._calls.items()):
            closed = call.loop.is_closed()
            # A loop of its own only stops after its last call.
            idle = stopped and self._own is None and not call.loop.is_running()
            if (closed or idle) and self._calls.pop(invocation, None) is call:
                with suppress(RuntimeError):
                    call.loop.call_soon_threadsafe(_cancel, call)
                call.give_up()

    def watch(self, now: float) -> None:
        """See `CoroutineExecutor.watch`."""
        self.end_unreachable()
        loop = self._loop
        if loop is None or not self._calls or (self._asked and self._asked[0] is loop):
            return
        self._asked = (loop, now)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._answer, loop)

    def trouble(self, now: float) -> str | None:
        """See `CoroutineExecutor.trouble`."""
        asked, waiting = self._asked, len(self._calls)
        if asked is None or not waiting or now - asked[1] < SILENT_AFTER:
            return None
        state = "has not answered" if asked[0].is_running() else "has been stopped"
        runs = "1 run waits" if waiting == 1 else f"{waiting} runs wait"
        return f"the event loop of coroutine jobs {state} for {now - asked[1]:.0f} s; {runs} for it"

    def finish(self, awaitable: Awaitable[Any], invocation: Invocation) -> Any:
        """Wait, on another thread, until what a plain function has returned is awaited.

        A decorator may hide that a function is a coroutine function, and an ``await`` may be
        forgotten: a run whose coroutine is never awaited would succeed without doing anything.
        """
        future: Future[Any] | None = None

        def give_up() -> None:
            if future is not None:
                future.cancel()

        call = _Call(self.running_loop(), give_up)
        work = self._await(awaitable, call)
        self._calls[invocation] = call
        try:
            future = asyncio.run_coroutine_threadsafe(work, call.loop)
        except RuntimeError:
            self._calls.pop(invocation, None)
            work.close()
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            raise
        try:
            if invocation.run.cancelled:  # asked before the call was known
                self.interrupt(invocation)
            if self._calls.get(invocation) is not call:  # given up before the future was known
                future.cancel()
            return future.result()
        finally:
            self._calls.pop(invocation, None)

    def stop(self) -> None:
        """Stop the executor's own loop, but not the host's.

        A loop of its own continues, on its thread, until its last call has ended.
        """
        with self._lock:
            thread, loop = self._own, self._loop
            self._own = self._loop = self._asked = None
        if thread is None or loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._stop_when_idle(loop), loop)
        if not any(call.loop is loop for call in list(self._calls.values())):
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

    def _begin(self, invocation: Invocation, own: _Call, done: Done[Any]) -> None:
        if self._calls.get(invocation) is not own:  # given up before it began
            return
        work = self._call(invocation, own, done)
        own.task = own.loop.create_task(work, name=f"duly {invocation.run.id}")
        own.task.add_done_callback(lambda task: self._ended(invocation, own, task))

    async def _call(self, invocation: Invocation, own: _Call, done: Done[Any]) -> None:
        result = await call(invocation)
        if self._calls.pop(invocation, None) is own:
            done(invocation, result)

    def _ended(self, invocation: Invocation, own: _Call, task: asyncio.Task[None]) -> None:
        """Report a task that was cancelled before its first step, so that `_call` did not."""
        if task.cancelled() and self._calls.pop(invocation, None) is own:
            own.give_up()

    async def _await(self, awaitable: Awaitable[Any], own: _Call) -> Any:
        own.task = asyncio.current_task()
        return await awaited(awaitable)

    async def _stop_when_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            tasks = [call.task for call in list(self._calls.values()) if call.loop is loop]
            begun = [task for task in tasks if task is not None and not task.done()]
            if not begun and None not in tasks:
                break
            await (asyncio.wait(begun) if begun else asyncio.sleep(0))
        loop.stop()

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._asked is not None and self._asked[0] is loop:
            self._asked = None


def _cancel(call: _Call) -> None:
    if call.task is not None:
        call.task.cancel()


def _cancelled(loop: asyncio.AbstractEventLoop) -> CallResult:
    why = ("the event loop is closed",) if loop.is_closed() else ()
    return CallResult(error=CallError.of(asyncio.CancelledError(*why)))


async def call(invocation: Invocation) -> CallResult:
    """Call a coroutine function; however that ends is its result."""
    began, pid = invocation.steady(), os.getpid()
    try:
        with invocation.surroundings():
            value = await awaited(invocation.function(**invocation.arguments()))
        leave_if_forked(pid)
        text, failure = result_text(value, invocation.run), None
    except BaseException as error:  # noqa: BLE001 - whatever ends the call is its outcome
        leave_if_forked(pid, error)
        text, failure = None, CallError.of(error, invocation.run.hide)
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
