"""Spells of trouble: when one worker, or its way to the database, could not be relied on."""

from __future__ import annotations

from tests.chaos.journal import steady

SETTLE = 1.0
"""Seconds after a trouble until a worker has beaten again."""


class Spells:
    """From when until when, on the steady clock."""

    def __init__(self) -> None:
        self._over: list[tuple[float, float]] = []
        self._open: dict[str, float] = {}

    def begin(self, what: str) -> None:
        """A trouble of some kind begins, unless it has begun already."""
        self._open.setdefault(what, steady())

    def end(self, what: str) -> None:
        """It ends."""
        if what in self._open:
            self._over.append((self._open.pop(what), steady() + SETTLE))

    def flash(self) -> None:
        """A trouble is over as soon as it has begun."""
        self._over.append((steady(), steady() + SETTLE))

    def overlap(self, began: float, ended: float) -> bool:
        """Whether there was any trouble between two instants."""
        spells = [*self._over, *((since, float("inf")) for since in self._open.values())]
        return any(since < ended and until > began for since, until in spells)
