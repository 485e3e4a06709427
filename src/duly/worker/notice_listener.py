"""Listens for the notices of other processes, on a thread and a connection of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from duly.clock import Clock
from duly.store.notifier import Notifier, Subscription
from duly.store.outage import Outage

log = logging.getLogger("duly.worker")
RETRY_AFTER = 5.0
"""Seconds before another attempt to listen after the connection broke."""


class NoticeListener:
    """Wakes the loop when another process has sent a notice.

    Args:
        notifier: where notices come from.
        clock: for waiting.
        wake: called from the listener's thread for every notice, and when one may have been missed.
        outage: whether the database answers; the store logs when it does not.
    """

    def __init__(
        self, notifier: Notifier, clock: Clock, wake: Callable[[], None], outage: Outage
    ) -> None:
        self._notifier = notifier
        self._clock = clock
        self._wake = wake
        self._outage = outage
        self._halt = threading.Event()
        self._retry = threading.Event()
        self._failures = 0
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self._thread: threading.Thread | None = None
        outage.at_end(self.renew)

    def start(self) -> None:
        """Listen from now on, if this database carries notices."""
        if self._notifier.can_subscribe:
            self._halt.clear()
            self._thread = threading.Thread(target=self._serve, name="duly-listen", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._halt.set()
        self.renew()
        if self._thread is not None:
            self._thread.join(timeout=RETRY_AFTER)
            self._thread = None

    def renew(self) -> None:
        """Listen on a new connection; the present one may lead to a server that was replaced."""
        self._retry.set()
        with self._lock:
            if self._subscription is not None:
                self._subscription.stop()

    def _serve(self) -> None:
        while not self._halt.is_set():
            self._retry.clear()
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - polling continues; nothing depends on this
                self._failures += 1
                if self._failures == 2 and not self._outage.is_on:  # the first is often a restart
                    log.warning(
                        "Cannot listen for notices (%s); polling every second until that works "
                        "again.", " ".join(str(error).split()),
                    )  # fmt: skip
                if not self._halt.is_set():
                    self._clock.wait(self._retry, RETRY_AFTER)

    def _listen(self) -> None:
        subscription = self._notifier.subscribe()
        self._failures = 0
        with self._lock:
            self._subscription = subscription
        try:
            self._wake()  # for notices that were sent before the subscription
            while not self._halt.is_set() and subscription.wait():
                self._wake()
        finally:
            with self._lock:
                self._subscription = None
            subscription.close()
