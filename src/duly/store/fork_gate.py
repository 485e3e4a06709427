"""Keep a process from forking during a transaction.

SQLite keeps a process's locks in memory as well as in the file. A child that is forked while a
thread of the parent is in a transaction inherits the lock of a thread that does not exist in the
child, and waits for it forever.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds for which a fork waits for open transactions; then it happens anyway."""


class ForkGate:
    """A gate that transactions pass through and that a fork closes."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside: Counter[int] = Counter()
        self._forking: int | None = None

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Enter for the duration of a transaction; a thread may enter again while it is inside."""
        thread_id = threading.get_ident()
        with self._changed:
            if not self._inside[thread_id]:
                self._changed.wait_for(lambda: self._forking in (None, thread_id))
            self._inside[thread_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[thread_id] -= 1
                if not self._inside[thread_id]:
                    del self._inside[thread_id]
                    if self._forking is not None:
                        self._changed.notify_all()

    def close(self) -> None:
        """Let no thread in, and wait until all other threads have left."""
        thread_id = threading.get_ident()
        with self._changed:
            self._forking = thread_id
            self._changed.wait_for(lambda: not set(self._inside) - {thread_id}, PATIENCE)

    def open(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()
