"""Executes plain functions on threads of its own.

The threads are daemons: a function that never returns must not keep the host process alive.
"""

from __future__ import annotations

import inspect
import os
import queue
import threading
from typing import Any

from duly.executors.base import (
    CallResult,
    CoroutineExecutor,
    Done,
    I,
    Invocation,
    refuse_unfinished,
    result_text,
)
from duly.executors.failure import CallError
from duly.executors.forked import leave_if_forked


class ThreadExecutor:
    """A pool that grows to ``size`` threads as calls arrive. See `Executor`.

    Args:
        size: the maximum number of threads.
        name: the threads' name, to which a number is added.
        coroutines: where an awaitable is awaited that a plain function returns.
    """

    interruptible = False

    def __init__(
        self, size: int, name: str = "duly-run", coroutines: CoroutineExecutor | None = None
    ) -> None:
        self._size = size
        self._coroutines = coroutines
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Invocation, Done[Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._own = threading.local()

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `Executor.submit`.

        A thread that has just ended a call makes the next one itself: waking another thread took
        as long as ten short functions.
        """
        if getattr(self._own, "free", False):
            self._own.free, self._own.call = False, (invocation, done)
            return
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif len(self._threads) < self._size:
                name = f"{self._name}-{len(self._threads) + 1}"
                thread = threading.Thread(
                    target=self._serve, args=(self._calls,), name=name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # the system refuses another thread
                    if not self._threads:
                        raise
                else:
                    self._threads.append(thread)
            self._calls.put((invocation, done))

    def interrupt(self, invocation: Invocation) -> None:
        """Cancel what the function has returned, if that is being awaited.

        A thread cannot be interrupted: functions can call ``run.check()``.
        """
        if self._coroutines is not None:
            self._coroutines.interrupt(invocation)

    def stop(self) -> None:
        """See `Executor.stop`."""
        with self._lock:
            calls, self._calls = self._calls, queue.SimpleQueue()
            threads, self._threads, self._idle = self._threads, [], 0
        for _thread in threads:
            calls.put(None)

    def _serve(self, calls: queue.SimpleQueue[tuple[Invocation, Done[Any]] | None]) -> None:
        own, call = self._own, calls.get()
        while call is not None:
            invocation, done = call
            result = call_function(invocation, self._coroutines)
            own.free, own.call = True, None
            done(invocation, result)
            call, own.free, own.call = own.call, False, None
            del invocation, done, result
            if call is None:
                with self._lock:
                    if calls is self._calls:  # else this thread is left over from before a stop
                        self._idle += 1
                call = calls.get()


def call_function(invocation: Invocation, coroutines: CoroutineExecutor | None) -> CallResult:
    """Call a plain function; however that ends is its result."""
    began, pid = invocation.steady(), os.getpid()
    try:
        with invocation.surroundings():
            value = invocation.function(**invocation.arguments())
            if value is not None and coroutines is not None:
                if inspect.isawaitable(value):
                    value = coroutines.finish(value, invocation)
                refuse_unfinished(value)
        leave_if_forked(pid)
        text, failure = result_text(value, invocation.run), None
    except BaseException as error:  # noqa: BLE001 - whatever ends the call is its outcome
        leave_if_forked(pid, error)
        text, failure = None, CallError.of(error, invocation.run.hide)
    return CallResult(text, failure, invocation.steady() - began)
