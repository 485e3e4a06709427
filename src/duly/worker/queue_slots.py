"""The slots of one queue in a worker: which are taken, and what waits for them."""

from __future__ import annotations

from collections import deque

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
        self.reserved = 0
        self.waiting: deque[tuple[float, Claim]] = deque()
        self.forget_speed()

    def capacity(self) -> Capacity:
        """Return the number of runs that may be claimed now."""
        prefetch = min(PREFETCH_LIMIT, int(PREFETCH_SECONDS / self._mean * self.size))
        free = self.size - self.taken - len(self.waiting) - self.reserved
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
