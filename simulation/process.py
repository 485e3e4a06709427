"""One simulated process, which may crash and start again."""

from __future__ import annotations

from collections.abc import Callable

from duly.executors.base import Invocation
from simulation.executor import Execution, SteppedExecutor
from simulation.scheduler import ProcessClock, SimulatedScheduler


class Process:
    """A process of the world, over all its restarts.

    Args:
        number: its number, from 1.
        make_scheduler: creates its scheduler at each start.
        clock: its clock.
        begin: creates the execution of a submitted invocation.
        now: returns the world's time in seconds.

    Attributes:
        scheduler: ``None`` while the process is dead.
        next_step: when its loop takes its next step.
        next_beat: when its heartbeat is due.
        starts_at: when it starts again, while it is dead.
        paused: the number of pauses that it is in; while there is one it does nothing.
        beats_paused: whether its heartbeat continues while its loop is paused.
        partitioned_until: until when it cannot reach the database.
    """

    def __init__(
        self,
        number: int,
        make_scheduler: Callable[[Process], SimulatedScheduler],
        clock: ProcessClock,
        begin: Callable[[Process, Invocation], Execution],
        now: Callable[[], float],
    ) -> None:
        self.number = number
        self.clock = clock
        self._make_scheduler = make_scheduler
        self._now = now
        self._begin = begin
        self.scheduler: SimulatedScheduler | None = None
        self.executors = self._new_executors()
        self.next_step = self.next_beat = self.starts_at = 0.0
        self.paused = 0
        self.beats_paused = False
        self.partitioned_until = 0.0

    def start(self) -> None:
        """Start with nothing in memory."""
        self.executors = self._new_executors()
        self.scheduler = self._make_scheduler(self)
        self.scheduler.begin()
        self.next_step = self.next_beat = self._now()

    def die(self, starts_at: float) -> None:
        """Lose everything in memory and release all locks, until it starts again."""
        scheduler, self.scheduler = self.scheduler, None
        self.starts_at = starts_at
        if scheduler is not None:
            scheduler.vanish()

    def beat(self) -> None:
        """Beat once."""
        if self.scheduler is not None:
            self.scheduler.beat()

    def step(self) -> bool:
        """Take one step of the loop, and return whether there may be more to do at once."""
        return self.scheduler is not None and self.scheduler.step()

    def stop(self) -> None:
        """Stop in an orderly way: unfinished runs are given back."""
        if self.scheduler is not None:
            self.scheduler.end()

    def is_crashing(self) -> bool:
        """Return whether a function is about to kill it."""
        return any(executor.is_crashing() for executor in self.executors)

    def end_executions(self) -> list[Execution]:
        """End the functions whose time has come, and return their executions."""
        return [execution for executor in self.executors for execution in executor.step()]

    def next_event(self) -> float:
        """Return when it has something to do next, in seconds of the world's time."""
        if self.scheduler is None:
            return self.starts_at
        ends = [executor.next_end() for executor in self.executors]
        return min([self.next_step, self.next_beat, *(end for end in ends if end is not None)])

    def current_execution(self) -> Execution:
        """Return the execution whose function is being called."""
        for executor in self.executors:
            if executor.current is not None:
                return executor.current
        raise RuntimeError("no function is being called")

    def _new_executors(self) -> tuple[SteppedExecutor, SteppedExecutor]:
        def begin(invocation: Invocation) -> Execution:
            return self._begin(self, invocation)

        return SteppedExecutor(False, begin, self._now), SteppedExecutor(True, begin, self._now)
