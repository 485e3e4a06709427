"""A bounded queue whose items are handled one by one, in order, on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
log = logging.getLogger("duly")
LINGER_S = 5.0
"""The number of seconds that the thread waits for another item before it ends."""


class BackgroundQueue(Generic[T]):
    """A queue for work that must never hold up the thread that asks for it.

    Args:
        name: the name of its thread.
        limit: the number of items that may wait; more are dropped, and that is logged.
        handle: called with each item; it must not raise.
    """

    def __init__(self, name: str, limit: int, handle: Callable[[T], None]) -> None:
        self._name = name
        self._limit = limit
        self._handle = handle
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a forked child: what waits there belongs to the parent."""
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._dropped = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being handled."""
        return not (self._waiting or self._busy)

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller is being called by this queue."""
        return threading.current_thread() is self._thread

    def put(self, item: T) -> None:
        """Add an item; it never waits and never raises."""
        with self._changed:
            if len(self._waiting) >= self._limit:
                self._drop()
                return
            self._waiting.append(item)
            self._changed.notify_all()
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                try:
                    thread.start()
                except (RuntimeError, MemoryError) as error:  # what it is about is committed
                    log.warning("%s waits until a thread can be started (%s).", self._name, error)
                else:
                    self._thread = thread

    def drain(self, seconds: float) -> bool:
        """Wait until everything is handled, for at most this time; return whether it is."""
        if self.is_current_thread:
            return False
        with self._changed:
            return self._changed.wait_for(lambda: self.idle, seconds)

    def _drop(self) -> None:
        self._dropped += 1
        if self._dropped == 1:
            log.warning(
                "The queue of %s is full (%d items); more are dropped until there is room.",
                self._name, self._limit,
            )  # fmt: skip

    def _serve(self) -> None:
        changed = self._changed
        while True:
            with changed:
                self._busy = False
                changed.notify_all()
                if not changed.wait_for(lambda: self._waiting, LINGER_S):
                    self._thread = None
                    return
                item = self._waiting.popleft()
                self._busy = True
                dropped, self._dropped = self._dropped, 0
            if dropped:
                log.warning("%d items of %s were dropped.", dropped, self._name)
            self._handle(item)
