"""One simulated process: a real scheduler on the world's database, stepped by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from duly.executors.base import Work
from duly.model.worker import Heartbeat
from duly.scheduler import Scheduler
from duly.store.store import Store
from duly.worker.loop import Engine
from simulation.database import SimulatedDatabase, SimulatedDialect, SimulatedStore
from simulation.executor import Call, SteppedExecutor

RHYTHM = Heartbeat(interval=3, lease=11, fence=9, rescue=4)


class ProcessClock:
    """A process's view of the world's time: its wall clock may be wrong, its steady one is not.

    Args:
        start: the instant at which the world's time was 0.
        elapsed: the world's time in seconds.
    """

    follows_database = True

    def __init__(self, start: datetime, elapsed: Callable[[], float]) -> None:
        self._start = start
        self._elapsed = elapsed
        self.wrong_by = 0.0

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._start + timedelta(seconds=self._elapsed() + self.wrong_by)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._elapsed()

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """Nothing waits in a simulation: the world steps everything."""
        return wake.is_set()

    def pause(self, seconds: float) -> None:
        """See `wait`."""


class SimulatedScheduler(Scheduler):
    """A scheduler whose database is the world's and whose functions take virtual time.

    Args:
        database: the world's.
        dialect: its rules.
        clock: the process's.
        executors: for functions, and for coroutines.
    """

    def __init__(
        self,
        database: SimulatedDatabase,
        dialect: SimulatedDialect,
        clock: ProcessClock,
        executors: tuple[SteppedExecutor, SteppedExecutor],
    ) -> None:
        self._dialect = dialect
        self._executors = executors
        super().__init__(
            database.url, name="world", heartbeat=RHYTHM, clock=clock,
            queues={"default": 3, "side": 2},
        )  # fmt: skip

    @property
    def engine(self) -> Engine:
        """The engine, for the world to step."""
        return self._engine

    def _new_store(self, url: str) -> Store:
        return SimulatedStore(url, self.clock, self._dialect)

    def _new_engine(self) -> Engine:
        engine = super()._new_engine()
        plain, coroutines = self._executors
        execution: Any = engine.execution
        execution._threads, execution.coroutines = plain, coroutines
        return engine


class Process:
    """A process of the world, through all its lives.

    Args:
        number: from 1.
        make: makes its scheduler at each start.
        clock: its clock.
        begin: makes the call of a submitted work.
        now: the world's time.

    Attributes:
        scheduler: ``None`` while it is dead.
        next_tick: when its loop looks next.
        next_beat: when its heartbeat is due next.
        starts_at: when it comes back, while it is dead.
        paused: how many pauses it is in; it does nothing meanwhile.
        beats: whether its heartbeat continues while its loop is paused.
        unreachable: until when it does not reach the database.
    """

    def __init__(
        self,
        number: int,
        make: Callable[[Process], SimulatedScheduler],
        clock: ProcessClock,
        begin: Callable[[Process, Work], Call],
        now: Callable[[], float],
    ) -> None:
        self.number = number
        self.clock = clock
        self._make = make
        self._now = now
        self._begin = begin
        self.scheduler: SimulatedScheduler | None = None
        self.executors = self._new_executors()
        self.next_tick = self.next_beat = self.starts_at = 0.0
        self.paused = 0
        self.beats = False
        self.unreachable = 0.0

    def start(self) -> None:
        """A new life."""
        self.executors = self._new_executors()
        self.scheduler = self._make(self)
        # The world beats by itself, apart from the loop's steps, as the heartbeat's thread does.
        engine = cast(Any, self.scheduler.engine)
        engine._thread, engine.state = threading.Thread(target=int), "running"
        engine.lease.threaded, engine.lease._serve_life = True, _no_threads
        self.next_tick = self.next_beat = self._now()

    def die(self, back_at: float) -> None:
        """The process is gone, with all that it held in memory; its locks are free."""
        scheduler, self.scheduler = self.scheduler, None
        self.starts_at = back_at
        if scheduler is not None and scheduler.engine.lease.locks is not None:
            scheduler.engine.lease.locks.forsake()

    def beat(self) -> None:
        """One heartbeat."""
        if self.scheduler is not None:
            self.scheduler.engine.lease.beat()

    def tick(self) -> bool:
        """One step of its loop; says whether there may be more to do at once."""
        return self.scheduler is not None and self.scheduler.engine.tick(wait=False)

    def stop(self) -> None:
        """End in order: unfinished runs are given back."""
        if self.scheduler is not None:
            cast(Any, self.scheduler.engine)._thread = None
            self.scheduler.stop(grace=0)

    def end_calls(self) -> bool:
        """Let functions end whose time is over; says whether there were any."""
        ended = [executor.step() for executor in self.executors]
        return any(ended)

    def next_event(self) -> float:
        """When it has something to do next, on the world's time."""
        if self.scheduler is None:
            return self.starts_at
        ends = [executor.next_end() for executor in self.executors]
        times = [self.next_tick, self.next_beat, *(end for end in ends if end is not None)]
        return min(times)

    def current_call(self) -> Call:
        """The call whose function is being called."""
        for executor in self.executors:
            if executor.current is not None:
                return executor.current
        raise RuntimeError("no function is being called")

    def _new_executors(self) -> tuple[SteppedExecutor, SteppedExecutor]:
        def begin(work: Work) -> Call:
            return self._begin(self, work)

        return SteppedExecutor(False, begin, self._now), SteppedExecutor(True, begin, self._now)


def _no_threads() -> None:
    """The world beats."""
