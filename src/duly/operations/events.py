"""Listeners: functions of this process that hear what has been committed here."""

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
    """Who listens to what. A listener that raises is logged and cannot break anything."""

    def __init__(self) -> None:
        self._by_kind: dict[str, list[Listener]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, kind: str, listener: Listener) -> None:
        """Call ``listener`` with each event of a kind; ``"*"`` means every kind.

        Raises:
            UnknownOption: no event is of that kind.
        """
        with self._lock:
            self._by_kind[kind if kind == "*" else check_kind(kind)].append(listener)

    @contextmanager
    def hearing(self, listener: Listener) -> Iterator[None]:
        """Call ``listener`` with every event inside the ``with``."""
        self.add("*", listener)
        try:
            yield
        finally:
            with self._lock:
                self._by_kind["*"].remove(listener)

    def hear(self, kind: str) -> bool:
        """Whether anybody listens to a kind of event."""
        by_kind = self._by_kind
        return bool(by_kind.get(kind) or by_kind.get("*"))

    def tell(self, facts: list[Event]) -> None:
        """Call everyone who listens to these events."""
        if not self._by_kind:
            return
        for fact in facts:
            for listener in (*self._by_kind.get(fact.kind, ()), *self._by_kind.get("*", ())):
                try:
                    listener(fact)
                except BaseException:
                    log.exception("a listener to %s failed", fact.kind)
