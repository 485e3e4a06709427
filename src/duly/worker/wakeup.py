"""Wake-ups: how the loop learns early that there is something to do. Polling stays the truth."""

from __future__ import annotations

import random
import threading
from typing import Any

from duly.store.store import Store

LONGEST = 5.0
"""Seconds between two looks at the database when nothing is known to be due."""

SERVER_POLL = 1.0
"""The same on a database server, where other processes' changes are seen only by looking."""

FILE_POLL = 0.1
"""Seconds between two looks at SQLite's change counter (3 µs each)."""


class Wakeup:
    """Waits until something has happened or a time has come.

    Args:
        store: the database; for SQLite its change counter is watched on a connection that never
            writes, since a connection does not see its own commits there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._event = threading.Event()
        self._watch: Any = None
        self._seen: int | None = None

    def set(self) -> None:
        """Wake the loop; callable from any thread."""
        if not self._event.is_set():
            self._event.set()

    def arm(self) -> None:
        """Begin to watch: call it before the first look at the database."""
        if self._seen is None and self._store.dialect.has_change_counter:
            self._seen = self._version()

    def wait(self, seconds: float | None) -> None:
        """Wait for a wake-up, a change by another process, or ``seconds``.

        Args:
            seconds: until what is known to be due; ``None``: nothing is.
        """
        counts = self._store.dialect.has_change_counter
        longest = (LONGEST if counts else SERVER_POLL) * _about_one()
        left = longest if seconds is None else min(seconds, longest)
        clock = self._store.clock
        end = clock.monotonic() + max(0.0, left)
        while (left := end - clock.monotonic()) > 0:
            if not counts:
                clock.wait(self._event, left)
                break
            if clock.wait(self._event, min(left, FILE_POLL)) or self._changed():
                break
        self._event.clear()

    def close(self) -> None:
        """Close the watching connection."""
        if self._watch is not None:
            self._watch.close()
            self._watch = self._seen = None

    def _changed(self) -> bool:
        version = self._version()
        changed, self._seen = self._seen != version, version
        return changed

    def _version(self) -> int:
        if self._watch is None:
            self._watch = self._store.engine.raw_connection()
        cursor = self._watch.cursor()
        (version,) = cursor.execute("PRAGMA data_version").fetchone()
        cursor.close()
        return int(version)


def _about_one() -> float:
    """0.9 to 1.1: so that a fleet's polls do not fall together."""
    return random.uniform(0.9, 1.1)
