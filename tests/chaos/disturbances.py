"""The periods in which one worker, or its route to the database, was disturbed by faults."""

from __future__ import annotations

from tests.chaos.journal import steady

SETTLE = 1.0
"""Seconds after a disturbance within which a worker has sent its next heartbeat."""


class Disturbances:
    """Periods on the steady clock; several causes may disturb one worker at the same time."""

    def __init__(self) -> None:
        self._ended: list[tuple[float, float]] = []
        self._open: dict[str, float] = {}

    def begin(self, cause: str) -> None:
        """Begin a disturbance, unless this cause is already present."""
        self._open.setdefault(cause, steady())

    def end(self, cause: str) -> None:
        """End a disturbance."""
        if cause in self._open:
            self._ended.append((self._open.pop(cause), steady() + SETTLE))

    def note_instant(self) -> None:
        """Note a disturbance without duration."""
        self._ended.append((steady(), steady() + SETTLE))

    def overlap(self, began: float, ended: float) -> bool:
        """Return whether any disturbance overlaps the time between two instants."""
        periods = [*self._ended, *((since, float("inf")) for since in self._open.values())]
        return any(since < ended and until > began for since, until in periods)
