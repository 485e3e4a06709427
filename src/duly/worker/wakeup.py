"""Wake-ups: when the loop takes its next step, and what makes it take that step earlier.

A wake-up only saves time: everything is found by polling as well.
"""

from __future__ import annotations

import random
import threading
from datetime import datetime
from typing import Any, NamedTuple

from duly.store.store import Store

MAX_WAIT = 5.0
"""Seconds between two polls of the database when nothing is known to be due."""

SERVER_POLL = 1.0
"""Seconds between two polls on a server, where only polling finds the changes of others."""

FILE_POLL = 0.1
"""Seconds between two reads of SQLite's change counter (3 µs each)."""


class Wake(NamedTuple):
    """When a worker's next step is due.

    Attributes:
        at_once: whether there may be more to do now.
        at: if not, when it is due, on the steady clock; ``None`` if nothing is known to become due.
        work_due: when the next job fires or the next run may start, as far as that is known. The
            next step may be due earlier, for a duty of the worker itself.
    """

    at_once: bool
    at: float | None = None
    work_due: datetime | None = None


class Wakeup:
    """Waits for an event or a point in time.

    Args:
        store: the database; for SQLite its change counter is watched on a connection that never
            writes, since a connection does not see its own commits there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.clock = store.clock
        self._event = threading.Event()
        self._watch: Any = None
        self._seen: int | None = None

    def set(self) -> None:
        """Wake the loop; callable from any thread."""
        if not self._event.is_set():
            self._event.set()

    def arm(self) -> None:
        """Begin to watch for changes; call it before the first query."""
        if self._seen is None and self._store.dialect.has_change_counter:
            self._seen = self._version()

    def wait(self, until: float | None) -> None:
        """Wait for a wake-up, a change by another process, or a point in time.

        Args:
            until: when something known is due, on the steady clock; ``None`` if nothing is.
        """
        counts, clock = self._store.dialect.has_change_counter, self.clock
        end = clock.monotonic() + (MAX_WAIT if counts else SERVER_POLL) * _jitter()
        if until is not None:
            end = min(end, until)
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
            self._watch = self._store.connect()
        cursor = self._watch.connection.cursor()
        (version,) = cursor.execute("PRAGMA data_version").fetchone()
        cursor.close()
        return int(version)


def _jitter() -> float:
    """Return 0.9 to 1.1, so that the polls of many workers do not coincide."""
    return random.uniform(0.9, 1.1)
