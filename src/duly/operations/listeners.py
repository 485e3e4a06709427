"""Listeners: functions that are called with the events that this process has committed."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from duly.hooks import Listener
from duly.model.event import Event, check_kind

log = logging.getLogger("duly.listeners")


class Listeners:
    """Listeners by kind of event. An error that a listener raises is logged and ignored."""

    def __init__(self) -> None:
        self._by_kind: dict[str, list[Listener]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, kind: str, listener: Listener) -> None:
        """Call ``listener`` with each event of a kind; ``"*"`` means every kind.

        Raises:
            UnknownOption: the kind does not exist.
        """
        with self._lock:
            self._by_kind[kind if kind == "*" else check_kind(kind)].append(listener)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call ``listener`` with every event during the body of a ``with`` statement."""
        self.add("*", listener)
        try:
            yield
        finally:
            with self._lock:
                self._by_kind["*"].remove(listener)

    def wants(self, kind: str) -> bool:
        """Return whether any listener is registered for a kind of event."""
        by_kind = self._by_kind
        return bool(by_kind.get(kind) or by_kind.get("*"))

    def notify(self, events: list[Event]) -> None:
        """Call the listeners of these events."""
        if not self._by_kind:
            return
        for event in events:
            for listener in (*self._by_kind.get(event.kind, ()), *self._by_kind.get("*", ())):
                try:
                    listener(event)
                except BaseException:
                    log.exception("Listener for %s raised an exception; ignoring it.", event.kind)
