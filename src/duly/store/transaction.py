"""One transaction: its connection, its instant, who acts, and what it makes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert

from duly.model import payload
from duly.model.event import Event
from duly.model.identity import RunIds
from duly.model.text import clean
from duly.store import tables
from duly.store.dialects.base import StoreDialect

ROUTINE = frozenset({"run.started", "run.succeeded", "run.given_back"})
"""Kinds that only listeners hear: the run's own row already says it."""


class Transaction:
    """A write transaction of Duly's own, or a part of the caller's.

    Attributes:
        conn: the connection.
        dialect: what this database does in its own way.
        now: the instant at which everything in it happens.
        facts: events to announce once it is committed.
    """

    def __init__(
        self,
        conn: Connection,
        dialect: StoreDialect,
        now: datetime,
        ids: RunIds,
        actor: str | None = None,
    ) -> None:
        self.conn = conn
        self._ids = ids
        self.dialect = dialect
        self.now = now
        self.actor = None if actor is None else clean(str(actor), 191)
        self.facts: list[Event] = []

    def run_id(self) -> str:
        """An id for a run that is made in this transaction."""
        return self._ids.make(self.now)

    def record(
        self,
        kind: str,
        *,
        job_id: str | None = None,
        run_id: str | None = None,
        worker_id: str | None = None,
        **detail: Any,
    ) -> None:
        """State a fact; it is stored by `flush` and announced after the commit."""
        self.facts.append(Event(kind, self.now, job_id, run_id, worker_id, self.actor, detail))

    def flush(self) -> list[Event]:
        """Store the facts and hand them over."""
        facts, self.facts = self.facts, []
        rows = [_event_row(fact) for fact in facts if fact.kind not in ROUTINE]
        if rows:
            self.conn.execute(insert(tables.event), rows)
        return facts

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows whose keys are free and pass over the others."""
        if rows:
            self.dialect.insert_new(self.conn, table, rows)


def _event_row(fact: Event) -> dict[str, Any]:
    return {
        "at": fact.at, "kind": fact.kind, "job_id": fact.job_id, "run_id": fact.run_id,
        "worker_id": fact.worker_id, "actor": fact.actor,
        "detail": payload.encode(fact.detail) if fact.detail else None,
    }  # fmt: skip
