"""Measures when the database could not be written to, whatever the cause.

The cause may be a restart, a full disk or, on SQLite, a stopped process that holds the write lock.
The probe updates one row all the time and notes for how long that failed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from sqlalchemy import NullPool, create_engine, update

from tests.chaos.audit_log import probe
from tests.chaos.databases import Database
from tests.chaos.journal import steady

EVERY = 0.25
SLOW = 1.5
"""Seconds after which a write that has not succeeded counts as an outage."""

_LIMITS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": SLOW},
    "postgresql": {"connect_timeout": 2, "options": "-c statement_timeout=1500"},
    "mariadb": {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2},
}


class OutageProbe:
    """Probes from its own thread, inside a ``with`` block.

    Args:
        database: the database.

    Attributes:
        outages: the start and end of each outage on the steady clock.
    """

    def __init__(self, database: Database) -> None:
        limits = _LIMITS[database.name]
        self._engine = create_engine(database.url(), poolclass=NullPool, connect_args=limits)
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="outage-probe", daemon=True)
        self.outages: list[tuple[float, float]] = []

    def __enter__(self) -> OutageProbe:
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
            if not self._writes():
                continue
            now = steady()
            if now - began > SLOW or began - last > SLOW:
                self.outages.append((last, now))
            last = now

    def _writes(self) -> bool:
        with suppress(Exception), self._engine.begin() as conn:
            conn.execute(update(probe).values(n=probe.c.n + 1))
            return True
        return False
