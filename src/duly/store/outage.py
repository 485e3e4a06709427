"""An outage of the database: reported once for the whole process, and ended for all its threads."""

from __future__ import annotations

import logging
import math
import threading
import weakref
from collections.abc import Callable

from duly.clock import Clock

log = logging.getLogger("duly.store")
REMIND_AFTER = 60.0
"""Seconds between two reminders of an outage."""


class Outage:
    """Whether the database answers, as all threads of this process have found.

    The first transaction that fails begins an outage, and the first one that succeeds ends it. Each
    is one line in the log. Its end wakes the threads that wait before they try again.

    Args:
        database: the database, for the log.
        clock: this process's clock.
    """

    def __init__(self, database: str, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._callbacks: list[weakref.WeakMethod[Callable[[], object]]] = []
        self.reset()

    @property
    def is_on(self) -> bool:
        """Whether the last transaction of any thread has found that the database does not answer.

        A database that can be read but not written to counts as not answering.
        """
        return self._since is not None

    def reset(self) -> None:
        """Forget an outage; in a forked child, also a lock of a thread of the parent."""
        self._lock = threading.Lock()
        self._since: float | None = None
        self._logged = -math.inf
        self._needs_write = False

    def at_end(self, call: Callable[[], object]) -> None:
        """Call a method at the end of each outage, as long as its object exists."""
        self._callbacks.append(weakref.WeakMethod(call))

    def begin(self, error: BaseException, *, writing: bool) -> None:
        """Note that a transaction failed because the database does not answer.

        Args:
            error: what it raised.
            writing: whether it was to write. Then only another one that writes ends the outage.
        """
        now = self._clock.monotonic()
        with self._lock:
            begins = self._since is None
            if self._since is None:
                self._since = now
            self._needs_write |= writing
            silent, lasted = now - self._logged < REMIND_AFTER, now - self._since
            if silent and not begins:
                return
            self._logged = now
        text = " ".join(str(error).split())
        if begins:
            log.error("%s; Duly tries again until it answers.", text)
        else:
            log.warning("After %.0f s, the database still does not answer: %s", lasted, text)

    def end(self, *, writing: bool) -> None:
        """Note that a transaction succeeded; call it only while `is_on`."""
        with self._lock:
            if self._since is None or (self._needs_write and not writing):
                return
            lasted = self._clock.monotonic() - self._since
            self._since, self._needs_write = None, False
        log.warning("The database %s answers again, after %.1f s.", self._database, lasted)
        self._callbacks = [callback for callback in self._callbacks if callback() is not None]
        for callback in self._callbacks:
            if (call := callback()) is not None:
                call()
