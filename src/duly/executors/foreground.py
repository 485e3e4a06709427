"""Executes plain functions on the thread that submits them, for hosts that bring the threads."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from duly.context import INTERRUPTED
from duly.errors import RunInterrupted
from duly.executors.base import CoroutineExecutor, Done, I, Invocation
from duly.executors.thread import call_function

INTERRUPT = signal.SIGUSR2
"""The signal that interrupts a function on the main thread."""

KILL_EVERY = 1.0
"""Seconds between two checks whether a function that was interrupted has to be killed."""


class ForegroundExecutor:
    """An executor without threads of its own. See `Executor`.

    Args:
        coroutines: where an awaitable is awaited that a plain function returns.
    """

    interruptible = False

    def __init__(self, coroutines: CoroutineExecutor) -> None:
        self._coroutines = coroutines

    def submit(self, invocation: I, done: Done[I]) -> None:
        """Execute a call, and return when it has ended."""
        done(invocation, call_function(invocation, self._coroutines))

    def interrupt(self, invocation: Invocation) -> None:
        """Cancel what the function has returned, if that is being awaited."""
        self._coroutines.interrupt(invocation)

    def stop(self) -> None:
        """See `Executor.stop`."""


class MainThreadExecutor(ForegroundExecutor):
    """Executes plain functions on the main thread of a process that executes nothing else.

    A signal interrupts the function. If it does not end, and its run has ended without it, the
    process is killed: the system that started it replaces it.

    Args:
        coroutines: see `ForegroundExecutor`.
        sign_off: called before the process is killed.
    """

    interruptible = True

    def __init__(self, coroutines: CoroutineExecutor, sign_off: Callable[[], None]) -> None:
        super().__init__(coroutines)
        self._sign_off = sign_off
        self._called: Invocation | None = None
        self._interrupted: Invocation | None = None
        signal.signal(INTERRUPT, self._handle)

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `ForegroundExecutor.submit`."""
        function = invocation.function

        def call(**arguments: Any) -> Any:
            self._called = invocation
            try:
                if self._interrupted is invocation:
                    raise RunInterrupted(INTERRUPTED)
                return function(**arguments)
            finally:
                self._called = None

        invocation.function = call
        super().submit(invocation, done)

    def interrupt(self, invocation: Invocation) -> None:
        """See `Executor.interrupt`."""
        super().interrupt(invocation)
        self._interrupted = invocation
        self._kill_later(invocation)
        main = threading.main_thread().ident
        if self._called is invocation and main is not None:
            signal.pthread_kill(main, INTERRUPT)

    def _handle(self, _number: int, _frame: Any) -> None:
        called = self._called
        if called is not None and called is self._interrupted:
            raise RunInterrupted(INTERRUPTED)

    def _kill_later(self, invocation: Invocation) -> None:
        timer = threading.Timer(KILL_EVERY, self._kill_if_stubborn, [invocation])
        timer.daemon = True
        timer.start()

    def _kill_if_stubborn(self, invocation: Invocation) -> None:
        if self._called is not invocation:
            return
        if not invocation.has_outlived_run:
            self._kill_later(invocation)
            return
        try:
            self._sign_off()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
