"""The thread that sends notices, so that a mail server that is away holds up nothing else."""

from __future__ import annotations

import logging
import threading

from duly.errors import DatabaseUnavailable, DulyError
from duly.notify.outbox import Outbox
from duly.store.store import Store

log = logging.getLogger("duly.notify")
POLL_S = 5.0
"""Seconds between two looks at what other processes have left to be sent."""

BACKOFF_S = 30.0
JOIN_S = 5.0


class Sender:
    """Works on the outbox of one process, in a thread of its own.

    Args:
        store: the database.
        outbox: the outbox.
    """

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._wake = threading.Event()
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread has been started and not stopped."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it is running."""
        if self._thread is None:
            self._halt = threading.Event()  # a thread that a stop left alone keeps the former one
            self._thread = threading.Thread(target=self._serve, name="duly-notify", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at the outbox now."""
        self._wake.set()

    def stop(self) -> None:
        """Send no further notice, and wait for the current one, for at most 5 seconds.

        If it takes longer, it is sent and recorded all the same unless the process ends before.
        """
        thread, self._thread = self._thread, None
        self._halt.set()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN_S)

    def _serve(self) -> None:
        halt = self._halt
        logged = ""
        while not halt.is_set():
            self._wake.clear()
            try:
                self._outbox.work(lambda: not halt.is_set())
                logged, pause = "", self._pause()
            except Exception as error:
                pause = BACKOFF_S
                outage = self._store.outage.is_on and isinstance(error, DatabaseUnavailable)
                text = f"{type(error).__name__}: {' '.join(str(error).split())}"
                if not outage and text != logged:
                    expected = isinstance(error, DulyError)
                    log.error("Notices could not be worked on (%s).", text, exc_info=not expected)
                    logged = text
            if not halt.is_set():
                self._store.clock.wait(self._wake, pause)

    def _pause(self) -> float:
        """Return the seconds until the next look: fewer if a channel is to be tried before."""
        next_try = self._outbox.next_try
        if next_try is None:
            return POLL_S
        return min(POLL_S, max(0.1, next_try - self._store.clock.monotonic()))
