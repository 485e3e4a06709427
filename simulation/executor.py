"""An executor whose functions take virtual time: the world ends them, one step at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from duly.errors import Discard, RetryAfter, Snooze
from duly.executors.base import CallResult, Done, I, Invocation, result_text
from duly.executors.failure import CallError

Outcome = Literal["ok", "error", "snooze", "retry_after", "discard", "crash"]
OUTCOMES: tuple[Outcome, ...] = (
    "ok", "ok", "ok", "ok", "ok", "error", "error", "snooze", "retry_after", "discard",
)  # fmt: skip
SECONDS = (0.0, 0.1, 0.5, 1.0, 3.0, 8.0, 15.0, 25.0)
STOPS_WITHIN = 0.3
"""Virtual seconds that a cooperative function takes to end after it was asked to stop."""
WITHOUT_RESULT = 4
"""Each fourth execution returns nothing; its success is written together with others."""


@dataclass(slots=True, eq=False)
class Execution:
    """One execution of a function.

    Attributes:
        number: its number in this world, from 1.
        process: the number of the process that executes it.
        run_id: the run that is executed.
        step: the world's step counter when it started.
        began_at: when it started, in seconds of the world's time.
        ends_at: when it ends, in seconds of the world's time.
        outcome: how it ends; ``crash``: with the process.
        cooperative: whether it ends soon after it was asked to stop.
        interrupted: whether it was asked to stop.
    """

    number: int
    process: int
    run_id: str
    step: int
    began_at: float
    ends_at: float
    outcome: Outcome
    cooperative: bool
    interrupted: bool = False

    def result(self) -> dict[str, int] | None:
        """Return what the function returns, or raise what it raises."""
        if self.outcome == "error":
            raise RuntimeError(f"execution {self.number} failed")
        if self.outcome == "snooze":
            raise Snooze(seconds=2)
        if self.outcome == "retry_after":
            raise RetryAfter(1.5)
        if self.outcome == "discard":
            raise Discard("not wanted")
        return None if self.number % WITHOUT_RESULT == 0 else {"execution": self.number}


def draw_execution(rng: random.Random, *, healed: bool) -> tuple[float, Outcome, bool]:
    """Draw seconds, outcome and cooperation; in a healed world functions are short and succeed."""
    if healed:
        return rng.choice(SECONDS[:3]), "ok", True
    return rng.choice(SECONDS), rng.choice(OUTCOMES), rng.random() < 0.7


class SteppedExecutor:
    """An `Executor` that holds each function back until the world's time reaches its end.

    Args:
        interruptible: ``True`` for coroutines, ``False`` for functions on threads.
        begin: creates the execution of a submitted invocation.
        now: returns the world's time in seconds.
    """

    loop = None

    def __init__(
        self,
        interruptible: bool,
        begin: Callable[[Invocation], Execution],
        now: Callable[[], float],
    ) -> None:
        self.interruptible = interruptible
        self._begin = begin
        self._now = now
        self._executions: dict[Invocation, tuple[Execution, Done[Any]]] = {}
        self.current: Execution | None = None

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `Executor.submit`."""
        self._executions[invocation] = (self._begin(invocation), done)

    def interrupt(self, invocation: Invocation) -> None:
        """See `Executor.interrupt`."""
        if invocation in self._executions:
            execution = self._executions[invocation][0]
            if execution.cooperative or self.interruptible:
                execution.interrupted = True
                execution.ends_at = min(execution.ends_at, self._now() + STOPS_WITHIN)

    def stop(self) -> None:
        """See `Executor.stop`."""

    def finish(self, awaitable: object, invocation: Invocation) -> Any:
        """Refuse: the world's functions return plain values."""
        raise NotImplementedError

    def enter(self, manager: object) -> tuple[Any, Callable[[], None]]:
        """Refuse: the world's processes have no resources."""
        raise NotImplementedError

    def end_unreachable(self, *, stopped: bool = False) -> None:
        """Do nothing: a world has no event loop."""

    def watch(self, now: float) -> None:
        """Do nothing: a world has no event loop."""

    def trouble(self, now: float) -> str | None:
        """Return ``None``: a world has no event loop."""
        return None

    def attach(self, loop: object) -> None:
        """Ignore the event loop: a world has none."""

    def freeze(self, until: float) -> None:
        """Let no function end before this time."""
        for execution, _done in self._executions.values():
            execution.ends_at = max(execution.ends_at, until)

    def next_end(self) -> float | None:
        """Return when the next function ends."""
        ends = (execution.ends_at for execution, _done in self._executions.values())
        return min(ends, default=None)

    def is_crashing(self) -> bool:
        """Return whether a function that kills the process has come to its end."""
        now = self._now()
        return any(
            execution.outcome == "crash" and execution.ends_at <= now
            for execution, _done in self._executions.values()
        )

    def step(self) -> list[Execution]:
        """End the functions whose time has come, and return their executions."""
        ending = [
            invocation
            for invocation, (execution, _done) in self._executions.items()
            if execution.ends_at <= self._now()
        ]
        ended = []
        for invocation in ending:
            if invocation in self._executions:  # ending one may have stopped another
                execution, done = self._executions.pop(invocation)
                ended.append(execution)
                done(invocation, self._end(invocation, execution))
        return ended

    def _end(self, invocation: Invocation, execution: Execution) -> CallResult:
        if execution.interrupted and self.interruptible:
            return CallResult(error=CallError.of(asyncio.CancelledError()))
        self.current = execution
        try:
            with invocation.surroundings():
                value: Any = invocation.function(**invocation.arguments())
                if asyncio.iscoroutine(value):
                    value = _run(value)
        except Exception as error:  # noqa: BLE001 - any exception is the function's outcome
            return CallResult(error=CallError.of(error))
        finally:
            self.current = None
        return CallResult(
            result_text(value, invocation.run), seconds=self._now() - execution.began_at
        )


def _run(coroutine: Any) -> Any:
    """Run a coroutine that never awaits anything pending."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a simulated coroutine must not wait")
