"""Rate limits per network address."""

from __future__ import annotations

from collections import deque

from duly import Clock

_MAX_ADDRESSES = 10_000


class RateLimit:
    """Counts events per key in a sliding window, in the memory of this process.

    Args:
        limit: the number of events allowed within the window.
        window: its length in seconds.
        clock: measures the window.
    """

    def __init__(self, limit: int, window: float, clock: Clock) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._events: dict[str, deque[float]] = {}

    def reached(self, key: str) -> bool:
        """Return whether ``key`` has reached the limit."""
        return len(self._recent(key)) >= self._limit

    def record(self, key: str) -> None:
        """Record an event of ``key``."""
        if key not in self._events and len(self._events) >= _MAX_ADDRESSES:
            del self._events[next(iter(self._events))]
        self._events.setdefault(key, deque(maxlen=self._limit)).append(self._clock.monotonic())

    def _recent(self, key: str) -> deque[float]:
        events = self._events.get(key)
        if events is None:
            return deque()
        while events and events[0] <= self._clock.monotonic() - self._window:
            events.popleft()
        if not events:
            del self._events[key]
        return events
