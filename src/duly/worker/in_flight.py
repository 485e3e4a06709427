"""What this worker has claimed: what it executes now, and what waits a moment for a place."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from duly.executors.base import Executor, Work
from duly.model.run import LogLine
from duly.worker.claims.claim import Claim
from duly.worker.claims.claimer import Capacity
from duly.worker.outcome import StopReason

PREFETCH_SECONDS = 0.05
"""A lane claims ahead as much as it is likely to start within this time."""

PREFETCH_LIMIT = 1000
SHARE = 0.1
"""The weight of a new measurement in a lane's mean run time."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt on its way.

    Attributes:
        deadline: on the steady clock, once it has started; ``None``: no timeout.
        claimed_at: when it was claimed, on the steady clock.
        begun_at: when its function was started, on the steady clock; ``None``: it waits.
        stop_reason: why the engine has asked it to stop; ``None``: it has not.
        stopping_since: since when, on the steady clock.
        abandoned: its run is over for the database although its function still runs.
        lost: its worker has lost its lease: nothing may be written about it any more.
        unsent: log lines that no commit has taken yet.
        told: the progress that was stored last.
        transactional: its completion belongs to the function's own transaction.
        committed: that transaction is committed: nothing is left to be written.
    """

    claim: Claim
    work: Work
    executor: Executor
    claimed_at: float
    deadline: float | None = None
    begun_at: float | None = None
    stop_reason: StopReason | None = None
    stopping_since: float = 0
    abandoned: bool = False
    lost: bool = False
    told: tuple[object, ...] = (None,)
    unsent: list[LogLine] = field(default_factory=list)
    transactional: bool = False
    committed: bool = False


class QueueSlots:
    """One queue's places in this worker. Not safe for threads: `InFlight` locks.

    Short runs are claimed ahead, so that a batch pays for the round trip to the database. What was
    claimed ahead and did not start soon is given back, for other workers.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.begun = 0
        self.waiting: deque[Attempt] = deque()
        self.slow_down()

    def capacity(self) -> Capacity:
        """How many runs may be claimed now."""
        ahead = min(PREFETCH_LIMIT, int(PREFETCH_SECONDS / self._mean * self.places))
        free = self.places - self.begun - len(self.waiting)
        return Capacity(max(0, free), max(0, ahead + min(0, free)))

    def next(self) -> Attempt | None:
        """The next attempt to start, if there is a place for it; it is counted in."""
        if not self.waiting or self.begun >= self.places:
            return None
        self.begun += 1
        return self.waiting.popleft()

    def slow_down(self) -> None:
        """Forget that runs were short: what was claimed ahead did not start."""
        self._mean = float(self.places)

    def end(self, seconds: float) -> None:
        """Count an attempt out that took so long."""
        self.begun -= 1
        self._mean += SHARE * (max(seconds, 1e-5) - self._mean)


class InFlight:
    """All attempts of this worker, until their functions really end.

    Args:
        queues: how many runs of each queue this worker executes at once.
    """

    def __init__(self, queues: Mapping[str, int]) -> None:
        self._lanes = {queue: QueueSlots(places) for queue, places in queues.items()}
        self._held: dict[Work, Attempt] = {}
        self._solo: Work | None = None
        self._lock = threading.Lock()
        self.empty = threading.Event()
        self.empty.set()

    def add(self, in_flight: Sequence[Attempt]) -> None:
        """Take in claimed attempts; they wait for their places."""
        with self._lock:
            for attempt in in_flight:
                self._held[attempt.work] = attempt
                if attempt.claim.quarantined:
                    self._solo = attempt.work
                self._lanes[attempt.claim.queue].waiting.append(attempt)
            if self._held:
                self.empty.clear()

    def next(self, queue: str, steady: float) -> Attempt | None:
        """The next attempt of a queue to start, if there is a place for it."""
        with self._lock:
            attempt = self._lanes[queue].next()
        if attempt is not None:
            attempt.begun_at = steady
            limit = attempt.claim.policy.timeout
            attempt.deadline = None if limit is None else steady + limit
        return attempt

    def of(self, work: Work) -> Attempt:
        """The attempt whose function this is."""
        return self._held[work]

    def end(self, work: Work, seconds: float) -> Attempt:
        """Count an attempt out: its function has ended, after so many seconds."""
        with self._lock:
            attempt = self._held.pop(work)
            self._lanes[attempt.claim.queue].end(seconds)
            if not self._held:
                self.empty.set()
            return attempt

    def withdraw(self, before: float) -> list[Attempt]:
        """Take out what was claimed by an instant of the steady clock and still waits."""
        taken = []
        with self._lock:
            for lane in self._lanes.values():
                while lane.waiting and lane.waiting[0].claimed_at <= before:
                    taken.append(lane.waiting.popleft())
                    lane.slow_down()
            for attempt in taken:
                del self._held[attempt.work]
            if not self._held:
                self.empty.set()
        return taken

    def capacity(self) -> dict[str, Capacity]:
        """How many runs of each queue may be claimed, where any may."""
        with self._lock:
            if self._solo in self._held:  # nothing may run beside it
                return {}
            capacities = {queue: lane.capacity() for queue, lane in self._lanes.items()}
        return {queue: capacity for queue, capacity in capacities.items() if any(capacity)}

    def all(self) -> list[Attempt]:
        """Every attempt on its way."""
        with self._lock:
            return list(self._held.values())

    def __len__(self) -> int:
        return len(self._held)
