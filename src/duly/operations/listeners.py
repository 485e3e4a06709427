"""Listeners: functions that are called with the events that this process has committed."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from duly.hooks import Listener
from duly.model.event import Event, check_kind
from duly.operations.background import BackgroundQueue

log = logging.getLogger("duly.listeners")
MAX_WAITING = 10_000
"""The number of events that may wait for the listeners' thread."""


class Listeners:
    """Listeners by kind of event. An error that a listener raises is logged and ignored.

    While the worker of this process is started, listeners are called one after the other on a
    thread of their own, in the order of the events, so that a slow one holds up nothing else.
    """

    def __init__(self) -> None:
        self._by_kind: dict[str, list[Listener]] = defaultdict(list)
        self._counters: list[Listener] = []
        self._lock = threading.Lock()
        self._queue = BackgroundQueue("duly-listeners", MAX_WAITING, self._deliver)

    def add(self, kind: str, listener: Listener) -> None:
        """Call ``listener`` with each event of a kind; ``"*"`` means every kind.

        Raises:
            UnknownOption: the kind does not exist.
        """
        with self._lock:
            self._by_kind[kind if kind == "*" else check_kind(kind)].append(listener)

    @contextmanager
    def counting(self, counter: Listener) -> Iterator[None]:
        """Call a quick listener of Duly's own with every event in the block, before all others."""
        with self._lock:
            self._counters.append(counter)
        try:
            yield
        finally:
            with self._lock:
                self._counters.remove(counter)

    def wants(self, kind: str) -> bool:
        """Return whether any listener is registered for a kind of event."""
        by_kind = self._by_kind
        return bool(self._counters or by_kind.get(kind) or by_kind.get("*"))

    def notify(self, events: list[Event], *, apart: bool) -> None:
        """Call the listeners of these events.

        Args:
            events: the events of one commit.
            apart: whether to call them on their own thread; otherwise they are called here, unless
                earlier events still wait for that thread.
        """
        for counter in self._counters:
            for event in events:
                counter(event)
        if not self._by_kind:
            return
        apart = apart or not (self._queue.idle or self._queue.is_current_thread)
        for event in events:
            if self._by_kind.get(event.kind) or self._by_kind.get("*"):
                (self._queue.put if apart else self._deliver)(event)

    def drain(self, seconds: float) -> None:
        """Wait until the listeners have been called with everything that waits, within a bound."""
        if not self._queue.drain(seconds) and not self._queue.is_current_thread:
            log.warning("Listeners have not ended within %g s; they are left alone.", seconds)

    def after_fork(self) -> None:
        """Forget, in a forked child, the events that the parent's thread delivers."""
        self._lock = threading.Lock()
        self._queue.renew()

    def _deliver(self, event: Event) -> None:
        for listener in (*self._by_kind.get(event.kind, ()), *self._by_kind.get("*", ())):
            try:
                listener(event)
            except BaseException:
                log.exception("Listener for %s raised an exception; ignoring it.", event.kind)
