"""No fork in the middle of a transaction.

SQLite keeps the locks of a process in its memory as well as in the file. A child that is forked
while a thread of the parent is inside a transaction inherits "this process holds the lock" from a
thread that does not exist there, and waits for it in vain.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds that a fork waits for transactions to end; then it goes on as it would without Duly."""


class ForkGate:
    """What transactions pass through, and what a fork closes while it happens."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside: Counter[int] = Counter()
        self._forking: int | None = None

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Held during a transaction; a thread that is inside already may enter again."""
        me = threading.get_ident()
        with self._changed:
            if not self._inside[me]:
                self._changed.wait_for(lambda: self._forking in (None, me))
            self._inside[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    if self._forking is not None:
                        self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in and wait until everybody else is out."""
        me = threading.get_ident()
        with self._changed:
            self._forking = me
            self._changed.wait_for(lambda: not set(self._inside) - {me}, PATIENCE)

    def open(self) -> None:
        """Let everybody in again."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()
