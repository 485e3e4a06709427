"""A real scheduler whose functions take virtual time, so that a day of work takes seconds."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from duly import Scheduler
from duly.clock import VirtualClock
from duly.executors.base import CallResult, Done, Executors, I, Invocation
from duly.executors.failure import CallError
from duly.executors.thread import call_function
from duly.testing.deferred import DeferredCoroutines

T = TypeVar("T")
LEAST = timedelta(seconds=1)
"""The shortest time between two steps: what ends in between is noticed together."""

RARELY = timedelta(minutes=10)
"""The time between two rounds of a worker's maintenance."""


class Curtain(BaseException):
    """Ends a function in the middle, because the scene has reached its end."""


class SceneClock(VirtualClock):
    """A clock that functions move while they are called, one after another.

    Args:
        start: the initial time.
        end: the time at which functions stop, and the scene with them.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        super().__init__(start)
        self.end = end

    def work(self, seconds: float) -> None:
        """Let a function take time.

        Raises:
            Curtain: it would last longer than the scene.
        """
        if self.now() + timedelta(seconds=seconds) > self.end:
            raise Curtain
        self._move(seconds)

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Go back, after the body of a ``with`` statement, to the time before it."""
        present = self.now()
        try:
            yield
        finally:
            self._move((present - self.now()).total_seconds())

    def _move(self, seconds: float) -> None:
        """Move both clocks, so that they agree about how much time has passed."""
        with self._moved:
            self._now += timedelta(seconds=seconds)
            self._steady += seconds


@contextmanager
def resources(clock: T) -> Iterator[T]:
    """Give a clock to functions, as ``run.resources``."""
    yield clock


class StagedExecutor:
    """An executor that calls a function at once, and ends the call when its time has passed.

    Args:
        clock: the clock that functions move.
    """

    interruptible = False
    loop = None

    def __init__(self, clock: SceneClock) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._calls: list[tuple[datetime, int, Any, CallResult, Done[Any]]] = []

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `Executor.submit`."""
        began = self._clock.now()
        with self._clock.rewound():
            result = call_function(invocation, None)
            ended = self._clock.now()
        if result.error is not None and result.error.facts[0] == Curtain.__name__:
            return  # it is still running when the scene ends
        result = result._replace(seconds=(ended - began).total_seconds())
        heapq.heappush(self._calls, (ended, next(self._numbers), invocation, result, done))

    def next_end(self) -> datetime | None:
        """Return when the next call ends."""
        return self._calls[0][0] if self._calls else None

    def end_due(self) -> None:
        """End the calls whose time has passed."""
        while self._calls and self._calls[0][0] <= self._clock.now():
            _ended, _number, invocation, result, done = heapq.heappop(self._calls)
            done(invocation, result)

    def interrupt(self, invocation: Invocation) -> None:
        """Do as a function that looks whether it must stop: end now."""
        for index, (_ended, number, running, _result, done) in enumerate(self._calls):
            if running is invocation:
                error = CallError.of(InterruptedError("the run must stop"))
                self._calls[index] = (
                    self._clock.now(), number, running, CallResult(error=error), done,
                )  # fmt: skip
        heapq.heapify(self._calls)

    def stop(self) -> None:
        """Forget what is running, as a process does that is killed."""
        self._calls.clear()


class Stage:
    """One worker process of the scene.

    Args:
        scheduler: its scheduler, on ``clock``.
        clock: the clock of the scene.
        step: the longest time between two steps, which must suit the heartbeat.
    """

    def __init__(self, scheduler: Scheduler, clock: SceneClock, step: timedelta) -> None:
        self.scheduler = scheduler
        self._clock = clock
        self._step = step
        self._executor = StagedExecutor(clock)
        # No public name replaces the executors and nothing else.
        self._worker = scheduler._core.worker
        self._worker.execution.executors = Executors(
            self._executor, DeferredCoroutines(deque()), processes=self._executor
        )
        self._maintain = self._worker._maintenance.run
        self._maintained = clock.now() - RARELY
        self._worker._maintenance.run = self._maintain_rarely  # type: ignore[method-assign]

    def play(self, until: datetime) -> None:
        """Let time pass, and do everything that is due on the way."""
        self._worker.open_resources()
        while True:
            self._executor.end_due()
            wake = self._worker.tick(wait=False)
            if wake.at_once:
                continue
            now = self._clock.now()
            if now >= until:
                return
            moments = (until, now + self._step, self._executor.next_end(), wake.work_due)
            later = min(filter(None, moments))
            self._clock.set(min(until, max(now + LEAST, later)))

    def _maintain_rarely(self, worker_id: str) -> None:
        """Maintain at times only: looking after watches each second is most of the work."""
        now = self._clock.now()
        if now - self._maintained >= RARELY or now == self._clock.end:
            self._maintained = now
            self._maintain(worker_id)

    def crash(self) -> None:
        """End as a process does that is killed: its runs stay where they are."""
        self._executor.stop()
        if self._worker.lease.locks is not None:
            self._worker.lease.locks.close_inherited()

    def leave(self) -> None:
        """End in an orderly way, when nothing runs."""
        self.scheduler.stop(grace=0)
