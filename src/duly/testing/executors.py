"""Execution without threads of its own: functions run where the test lets time pass."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeGuard

from duly.errors import LifecycleError
from duly.executors.base import CallResult, Executors, Invocation
from duly.executors.thread import call_function
from duly.testing.deferred import Deferred, DeferredCoroutines, Pending
from duly.testing.failures import Failures
from duly.worker.attempt import Attempt

LIMIT = 10_000
"""The number of calls without any passing of time after which a test is taken for endless."""


class SteppedExecutors(Executors):
    """Executors that make all calls one after another, in the thread that waits for them.

    Args:
        failures: collects what functions raise.
    """

    def __init__(self, failures: Failures) -> None:
        self._pending: Pending = deque()
        self._failures = failures
        self._calls: tuple[float, int] = (0.0, 0)
        self._loops = DeferredCoroutines(self._pending)
        functions = Deferred(self._pending, self._call)
        super().__init__(functions, self._loops, processes=functions)

    def wait(self, idle: threading.Event, seconds: float) -> None:
        """See `Executors.wait`; makes the pending calls.

        Raises:
            LifecycleError: a function waits for what cannot start before it has returned, or runs
                enqueue one another endlessly.
        """
        if not self._pending and not idle.is_set():
            raise LifecycleError(
                "a function waits for a run that cannot start before the function has returned, "
                "because the test executes one run at a time"
            )
        while self._pending:
            call, invocation, done = self._pending.popleft()
            self._count(invocation)
            invocation.around = (self._failures.watching, *invocation.around)
            result = call(invocation)
            if _is_late(invocation):
                self._failures.forget(invocation.run)
                invocation.stop("timeout")
            done(invocation, result)
            if isinstance(invocation, Attempt) and invocation.is_apart:
                self._failures.note_apart(invocation, result)

    def close(self) -> None:
        """Close the test's own event loop."""
        self._loops.close()

    def _call(self, invocation: Invocation) -> CallResult:
        return call_function(invocation, self._loops)

    def _count(self, invocation: Invocation) -> None:
        steady, (since, number) = invocation.steady(), self._calls
        self._calls = (steady, number + 1 if steady == since else 1)
        if self._calls[1] > LIMIT:
            raise LifecycleError(
                f"{LIMIT:,} runs have started without any time passing, the last of task "
                f"{invocation.run.task!r}; do runs enqueue one another endlessly?"
            )


def _is_late(invocation: Invocation) -> TypeGuard[Attempt]:
    """Return whether the virtual time of an invocation is up."""
    if not isinstance(invocation, Attempt) or invocation.deadline is None:
        return False
    return invocation.deadline <= invocation.steady()
