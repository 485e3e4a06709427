"""How much one transaction takes at a time; on SQLite it stops other writers (engine rule 27)."""

from __future__ import annotations

from duly.store.store import Store

BOUND = 0.05
"""Seconds that a transaction of Duly's may take where it stops all other writers."""

EASY = 0.02
"""One that took less, and was full, may take twice as much the next time."""

FIRST, LEAST = 250, 10


class AdaptiveBatch:
    """The size of the next batch.

    Args:
        store: the database; on a server, where nobody waits for a transaction but who wants the
            same rows, each batch is as large as it may be.
        most: how large that is.

    Attributes:
        size: how much to take now.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._most = most
        self._adapts = not store.dialect.many_writers
        self.size = min(FIRST, most) if self._adapts else most

    def record(self, count: int, seconds: float) -> None:
        """Learn how long a batch took in its transaction."""
        if not self._adapts:
            return
        if seconds > BOUND:
            self.size = max(LEAST, min(self.size, int(count * EASY / seconds)))
        elif count >= self.size and seconds < EASY:
            self.size = min(self._most, 2 * self.size)
