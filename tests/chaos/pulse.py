"""The pulse of the database: when nobody could write to it, whatever the reason.

A restart, a full disk, or (SQLite) a stopped process that holds the only writer's lock: the driver
writes a little all the time and notes how long it could not.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from sqlalchemy import NullPool, create_engine, update

from tests.chaos.audit import pulse
from tests.chaos.ground import Ground
from tests.chaos.journal import steady

EVERY = 0.25
SLOW = 1.5
"""Seconds after which a write that has not come through counts as an outage."""

_LIMITS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": SLOW},
    "postgresql": {"connect_timeout": 2, "options": "-c statement_timeout=1500"},
    "mariadb": {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2},
}


class Pulse:
    """Writes on a thread of its own, inside a ``with``.

    Args:
        ground: the database.

    Attributes:
        outages: from, until, on the steady clock.
    """

    def __init__(self, ground: Ground) -> None:
        limits = _LIMITS[ground.name]
        self._engine = create_engine(ground.url(), poolclass=NullPool, connect_args=limits)
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="pulse", daemon=True)
        self.outages: list[tuple[float, float]] = []

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._halt.set()
        self._thread.join(30)
        self._engine.dispose()

    def _serve(self) -> None:
        last = steady()
        while not self._halt.wait(EVERY):
            began = steady()
            if not self._beats():
                continue
            now = steady()
            if now - began > SLOW or began - last > SLOW:
                self.outages.append((last, now))
            last = now

    def _beats(self) -> bool:
        with suppress(Exception), self._engine.begin() as conn:
            conn.execute(update(pulse).values(n=pulse.c.n + 1))
            return True
        return False
