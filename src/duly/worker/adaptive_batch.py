"""Batch sizes that keep write transactions short on SQLite, where they block all other writers.

See engine rule 27.
"""

from __future__ import annotations

from duly.store.store import Store

BOUND = 0.05
"""The limit, in seconds, of a write transaction that blocks all other writers."""

EASY = 0.02
"""A full batch that took less than this is followed by one of twice its size."""

FIRST, SMALLEST = 250, 10


class AdaptiveBatch:
    """The size of the next batch.

    Args:
        store: the database; on a server, where only transactions on the same rows wait for each
            other, every batch has the maximum size.
        max_size: the maximum size.

    Attributes:
        size: the size of the next batch.
    """

    def __init__(self, store: Store, max_size: int) -> None:
        self._max_size = max_size
        self._adapts = not store.dialect.many_writers
        self.size = min(FIRST, max_size) if self._adapts else max_size

    def record(self, count: int, seconds: float) -> None:
        """Adapt the size to the time that a batch took in its transaction.

        Args:
            count: the number of rows in the batch.
            seconds: how long its transaction took.
        """
        if not self._adapts:
            return
        if seconds > BOUND:
            self.size = max(SMALLEST, min(self.size, int(count * EASY / seconds)))
        elif count >= self.size and seconds < EASY:
            self.size = min(self._max_size, 2 * self.size)
