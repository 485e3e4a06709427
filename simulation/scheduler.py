"""A real scheduler on the world's database, stepped by hand.

This module is the only one that reaches inside Duly, for what no public name offers: the store, the
executors, and a loop and a heartbeat without threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal
from unittest.mock import patch

from duly.clock import Clock
from duly.executors.base import Executors
from duly.model.settings import Settings
from duly.model.worker import Heartbeat
from duly.operations.core import Core
from duly.scheduler import UPKEEP, Scheduler
from duly.store import history
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.url import Later
from duly.worker.worker import Worker
from simulation.database import SimulatedDatabase, SimulatedDialect, SimulatedStore
from simulation.executor import SteppedExecutor

HEARTBEAT = Heartbeat(interval=3, lease=11, fence=9, rescue=4)
QUEUES = {"default": 3, "side": 2, "metered": 2}
RETENTION = timedelta(seconds=5)
"""How long `SimulatedScheduler.prune_jobs` keeps finished jobs."""


class ProcessClock:
    """The clock of one process: its wall clock may be wrong, its monotonic one never is.

    Args:
        start: the instant at which the world's time was 0.
        elapsed: returns the world's time in seconds.

    Attributes:
        error: seconds by which the wall clock is ahead.
    """

    follows_database = True

    def __init__(self, start: datetime, elapsed: Callable[[], float]) -> None:
        self._start = start
        self._elapsed = elapsed
        self.error = 0.0

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._start + timedelta(seconds=self._elapsed() + self.error)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._elapsed()

    def wait(self, wake: threading.Event, timeout: float) -> bool:
        """Return at once: the world steps everything."""
        return wake.is_set()

    def pause(self, seconds: float) -> None:
        """Return at once: the world steps everything."""


class SimulatedCore(Core):
    """The core of a `SimulatedScheduler`, which explains the arguments."""

    def __init__(
        self,
        url: str | Literal[Later.LATER],
        settings: Settings,
        clock: Clock,
        dialect: SimulatedDialect,
        executors: tuple[SteppedExecutor, SteppedExecutor],
    ) -> None:
        self._dialect = dialect
        self._executors = executors
        super().__init__(url, settings, clock, UPKEEP)

    def new_store(self, url: str) -> Store:
        """See `Core.new_store`."""
        return SimulatedStore(url, self.clock, self._dialect)

    def new_worker(self) -> Worker:
        """See `Core.new_worker`."""
        worker = super().new_worker()
        functions, coroutines = self._executors
        worker.execution.executors = Executors(functions, coroutines, processes=functions)
        return worker


class SimulatedScheduler(Scheduler):
    """A scheduler whose database is the world's and whose functions take virtual time.

    Args:
        database: the world's database.
        dialect: its rules.
        clock: the clock of the process.
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
            database.url, name="world", heartbeat=HEARTBEAT, clock=clock, queues=QUEUES
        )

    def begin(self) -> None:
        """Put the worker into the state in which its loop runs, without starting any thread.

        The world beats apart from the loop's steps, as the thread of the heartbeat does.
        """
        _replace(self._core.worker.loop, "thread", threading.Thread(target=int))
        _replace(self._core.worker.loop, "state", "running")
        _replace(self._core.worker.lease, "threaded", True)
        _replace(self._core.worker.lease, "_start_threads", lambda: None)

    def step(self) -> bool:
        """Take one step of the loop, and return whether there may be more to do at once."""
        return self._core.worker.tick(wait=False).at_once

    def beat(self) -> None:
        """Beat once."""
        self._core.worker.lease.beat()

    def end(self) -> None:
        """Stop in an orderly way: unfinished runs are given back."""
        _replace(self._core.worker.loop, "thread", None)
        self.stop(grace=0)

    def prune_jobs(self) -> None:
        """Delete finished jobs, after a retention that is short enough for a world."""

        def prune(tx: Transaction) -> int:
            # Not around the transaction: while that is paused, other processes prune events.
            with patch.object(history, "KEEP_EVENTS", RETENTION):
                return history.prune_jobs(tx, 100)

        self._core.store.run(prune)

    def vanish(self) -> None:
        """Release its file locks, as the kernel does when a process is killed."""
        locks = self._core.worker.lease.locks
        if locks is not None:
            locks.close_inherited()

    def _new_core(self, url: str | Literal[Later.LATER], settings: Settings, clock: Clock) -> Core:
        return SimulatedCore(url, settings, clock, self._dialect, self._executors)


def _replace(target: object, name: str, value: object) -> None:
    """Replace an attribute of Duly's; a name that is gone is an error, not a silent no-op."""
    if not hasattr(target, name):
        raise AttributeError(f"{type(target).__name__} has no attribute {name!r} to replace")
    setattr(target, name, value)
