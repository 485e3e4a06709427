"""Functions that take virtual time: an executor that the world steps by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from duly.errors import Discard, RetryAfter, Snooze
from duly.executors.base import CallResult, Done, Work

Ends = Literal["ok", "error", "snooze", "retry_after", "discard"]
ENDS: tuple[Ends, ...] = ("ok", "ok", "ok", "ok", "ok", "error", "error", "snooze", "retry_after",
                          "discard")  # fmt: skip
SECONDS = (0.0, 0.1, 0.5, 1.0, 3.0, 8.0, 15.0, 25.0)
POLITE = 0.3
"""Seconds after which a polite function ends that was asked to."""


@dataclass(slots=True, eq=False)
class Call:
    """One execution of a function.

    Attributes:
        number: counts the executions of a world from 1.
        process: the number of the process that executes it.
        run_id: of which run.
        step: the world's counter when it began.
        ends_at: on the world's time.
        ends: how.
        polite: whether it ends when it is asked to.
    """

    number: int
    process: int
    run_id: str
    step: int
    ends_at: float
    ends: Ends
    polite: bool
    stopped: bool = False

    def result(self) -> dict[str, int]:
        """What the function returns or raises."""
        if self.ends == "error":
            raise RuntimeError(f"execution {self.number} failed")
        if self.ends == "snooze":
            raise Snooze(seconds=2)
        if self.ends == "retry_after":
            raise RetryAfter(1.5)
        if self.ends == "discard":
            raise Discard("not wanted")
        return {"execution": self.number}


def draw(rng: random.Random, *, calm: bool) -> tuple[float, Ends, bool]:
    """Seconds, ending and politeness of a call; a calm world's are short and succeed."""
    if calm:
        return rng.choice(SECONDS[:3]), "ok", True
    return rng.choice(SECONDS), rng.choice(ENDS), rng.random() < 0.7


class SteppedExecutor:
    """Holds calls until the world lets them end. See `Executor`.

    Args:
        interruptible: as a coroutine is and a thread is not.
        begin: makes the call of a submitted work.
        now: the world's time.
    """

    loop = None

    def __init__(
        self, interruptible: bool, begin: Callable[[Work], Call], now: Callable[[], float]
    ) -> None:
        self.interruptible = interruptible
        self._begin = begin
        self._now = now
        self.current: Call | None = None
        self.held: dict[Work, tuple[Call, Done]] = {}

    def submit(self, work: Work, done: Done) -> None:
        """See `Executor.submit`."""
        self.held[work] = (self._begin(work), done)

    def interrupt(self, work: Work) -> None:
        """See `Executor.interrupt`."""
        if work in self.held:
            call = self.held[work][0]
            if call.polite or self.interruptible:
                call.stopped = True
                call.ends_at = min(call.ends_at, self._now() + POLITE)

    def stop(self) -> None:
        """See `Executor.stop`."""

    def attach(self, loop: object) -> None:
        """The world has no event loop."""

    def freeze(self, until: float) -> None:
        """No call ends before then."""
        for call, _done in self.held.values():
            call.ends_at = max(call.ends_at, until)

    def next_end(self) -> float | None:
        """When the next call ends."""
        return min((call.ends_at for call, _done in self.held.values()), default=None)

    def step(self) -> bool:
        """End the calls whose time is over; says whether there were any."""
        over = [work for work, (call, _done) in self.held.items() if call.ends_at <= self._now()]
        for work in over:
            if work in self.held:
                call, done = self.held.pop(work)
                done(work, self._end(work, call))
        return bool(over)

    def _end(self, work: Work, call: Call) -> CallResult:
        if call.stopped and self.interruptible:
            return CallResult(error=asyncio.CancelledError())
        self.current = call
        try:
            with work.surroundings():
                value: Any = work.function(**work.arguments)
                if asyncio.iscoroutine(value):
                    value = _run(value)
        except Exception as error:  # noqa: BLE001 - whatever ends the call is its outcome
            return CallResult(error=error)
        finally:
            self.current = None
        return CallResult(value)


def _run(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a simulated coroutine must not wait")
