"""What a worker does from time to time, each at its own interval."""

from __future__ import annotations

from duly.clock import Clock


class Periodic:
    """When each of these things is to be done next.

    Args:
        clock: whose steady time counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}

    def is_due(self, what: str, period: float) -> bool:
        """Whether its time has come: at first, and then every ``period`` seconds."""
        steady = self._clock.monotonic()
        if self._due.setdefault(what, steady) > steady:
            return False
        self._due[what] = steady + period
        return True

    def next(self, what: str) -> float | None:
        """When it comes next, on the steady clock; ``None``: it never came yet."""
        return self._due.get(what)
