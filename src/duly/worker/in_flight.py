"""What is in flight: the claims of this worker that wait for a slot, and its running attempts."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from duly.clock import Clock
from duly.worker.attempt import Attempt
from duly.worker.claims.claim import Claim
from duly.worker.claims.claimer import Capacity

PREFETCH_SECONDS = 0.05
"""A queue prefetches as many runs as are likely to start within this time."""

PREFETCH_LIMIT = 1000
SHARE = 0.1
"""The weight of a new measurement in a queue's mean run time."""


class QueueSlots:
    """The slots of one queue in this worker. Not thread-safe: `InFlight` holds a lock.

    Short runs are prefetched, so that one round trip to the database serves many of them.
    Prefetched runs that do not start soon are given back, for other workers.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self.waiting: deque[tuple[float, Claim]] = deque()
        self.forget_speed()

    def capacity(self) -> Capacity:
        """Return the number of runs that may be claimed now."""
        prefetch = min(PREFETCH_LIMIT, int(PREFETCH_SECONDS / self._mean * self.size))
        free = self.size - self.taken - len(self.waiting)
        return Capacity(max(0, free), max(0, prefetch + min(0, free)))

    def take(self) -> Claim | None:
        """Give a free slot to the claim that has waited longest; ``None`` if either is missing."""
        if not self.waiting or self.taken >= self.size:
            return None
        self.taken += 1
        return self.waiting.popleft()[1]

    def release(self, seconds: float) -> None:
        """Free the slot of an attempt that took this long."""
        self.taken -= 1
        self._mean += SHARE * (max(seconds, 1e-5) - self._mean)

    def forget_speed(self) -> None:
        """Stop prefetching until runs have proved to be short again."""
        self._mean = float(self.size)


class InFlight:
    """All claims and attempts of this worker, until the attempts' functions have returned.

    Args:
        queues: the number of runs of each queue that this worker executes at once.
        clock: measures how long a claim has waited.

    Attributes:
        empty: set while nothing is in flight.
    """

    def __init__(self, queues: Mapping[str, int], clock: Clock) -> None:
        self._slots = {queue: QueueSlots(size) for queue, size in queues.items()}
        self._clock = clock
        self._attempts: dict[Claim, Attempt | None] = {}
        self._quarantined: Claim | None = None
        self._lock = threading.Lock()
        self.empty = threading.Event()
        self.empty.set()

    def add(self, claims: Sequence[Claim]) -> None:
        """Add claims; they wait for slots."""
        steady = self._clock.monotonic()
        with self._lock:
            for claim in claims:
                self._attempts[claim] = None
                if claim.quarantined:
                    self._quarantined = claim
                self._slots[claim.queue].waiting.append((steady, claim))
            if self._attempts:
                self.empty.clear()

    def begin_next(self, queue: str, make: Callable[[Claim], Attempt]) -> Attempt | None:
        """Make an attempt of the next claim of a queue, if there is a slot for it."""
        with self._lock:
            claim = self._slots[queue].take()
            if claim is None:
                return None
            attempt = self._attempts[claim] = make(claim)
            attempt.begin()
        return attempt

    def end(self, attempt: Attempt, seconds: float) -> None:
        """Remove an attempt whose function has ended, and free its slot."""
        with self._lock:
            del self._attempts[attempt.claim]
            self._slots[attempt.claim.queue].release(seconds)
            if not self._attempts:
                self.empty.set()

    def withdraw(self, before: float) -> list[Claim]:
        """Remove and return the claims that have waited since ``before`` on the steady clock."""
        withdrawn = []
        with self._lock:
            for slots in self._slots.values():
                while slots.waiting and slots.waiting[0][0] <= before:
                    withdrawn.append(slots.waiting.popleft()[1])
                    slots.forget_speed()
            for claim in withdrawn:
                del self._attempts[claim]
            if not self._attempts:
                self.empty.set()
        return withdrawn

    def capacity(self) -> dict[str, Capacity]:
        """Return the number of runs that may be claimed, of each queue that has capacity."""
        with self._lock:
            if self._quarantined in self._attempts:  # it must run alone
                return {}
            capacities = {queue: slots.capacity() for queue, slots in self._slots.items()}
        return {queue: capacity for queue, capacity in capacities.items() if any(capacity)}

    def claims(self) -> list[Claim]:
        """Return the claims of everything in flight."""
        with self._lock:
            return list(self._attempts)

    def attempts(self) -> list[Attempt]:
        """Return the attempts whose functions have started."""
        with self._lock:
            return [attempt for attempt in self._attempts.values() if attempt is not None]

    @property
    def any_live(self) -> bool:
        """Whether anything is in flight whose result still counts."""
        with self._lock:
            attempts = list(self._attempts.values())
        return any(attempt is None or not attempt.has_outlived_run for attempt in attempts)

    def __len__(self) -> int:
        return len(self._attempts)
