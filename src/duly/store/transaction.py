"""One transaction: its connection, its instant, its actor, and the events that it records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table

from duly.model import payload
from duly.model.actor import Actor, storable_reason
from duly.model.event import Event
from duly.model.identity import RunIds
from duly.model.lateness import NEVER
from duly.store import tables
from duly.store.dialect import StoreDialect
from duly.store.sql.bulk_insert import insert_rows

ROUTINE = frozenset({"run.started", "run.succeeded", "run.given_back", "run.handed_off"})
"""Kinds of events that are announced but not stored, because the run's row implies them.

Without a listener they are not even created, because every run has some of them.
"""


class Transaction:
    """A write transaction of Duly's own, or a part of the caller's.

    Attributes:
        conn: its connection.
        dialect: the database's dialect.
        now: the instant of all its changes.
        actor: the name of who acts; ``None`` for Duly itself.
        reason: why, for the events that are recorded from now on.
        has_listener: returns whether this process has a listener for a kind of event.
        events: the events to announce after the commit.
        on_events: called with the stored events, in the transaction; see `Store`.
        outcomes: how many runs it has ended; see `duly.store.outcomes`.
    """

    def __init__(
        self,
        conn: Connection,
        dialect: StoreDialect,
        now: datetime,
        ids: RunIds,
        actor: str | Actor | None = None,
        *,
        has_listener: Callable[[str], bool] = lambda _kind: True,
    ) -> None:
        self.conn = conn
        self.has_listener = has_listener
        self._ids = ids
        self.dialect = dialect
        self.now = now
        given = Actor.of(actor)
        self.actor = given.name if given else None
        self.reason = given.reason if given else None
        self._request_id = given.request_id if given else None
        self.events: list[Event] = []
        self.on_events: OnEvents | None = None
        self.outcomes: Counter[tuple[str, str, str, int]] = Counter()

    def because(self, reason: str | None) -> str | None:
        """Set the reason of the changes that follow; return it, or the actor's if it is empty."""
        self.reason = storable_reason(reason) or self.reason
        return self.reason

    def run_id(self) -> str:
        """Return an id for a run that is created in this transaction."""
        return self._ids.make(self.now)

    def run_ids(self, count: int) -> list[str]:
        """Return ids for ``count`` runs that are created in this transaction."""
        return self._ids.make_many(self.now, count)

    def record(
        self,
        kind: str,
        *,
        job_id: str | None = None,
        run_id: str | None = None,
        worker_id: str | None = None,
        **detail: Any,
    ) -> None:
        """Record an event; `flush` stores it, and it is announced after the commit."""
        self.events.append(self._event(kind, job_id, run_id, worker_id, detail))

    def record_jobs(self, kind: str, job_ids: Iterable[str], **detail: Any) -> None:
        """Record one event for each of many jobs."""
        self.events += [self._event(kind, job_id, None, None, detail) for job_id in job_ids]

    def _event(
        self,
        kind: str,
        job_id: str | None,
        run_id: str | None,
        worker_id: str | None,
        detail: dict[str, Any],
    ) -> Event:
        return Event(
            kind, self.now, job_id=job_id, run_id=run_id, worker_id=worker_id, actor=self.actor,
            reason=self.reason, request_id=self._request_id, detail=detail,
        )  # fmt: skip

    @property
    def minute(self) -> int:
        """The minute of its instant, as the seconds from 1970 to the start of that minute."""
        return int(self.now.timestamp()) // 60 * 60

    def count_outcome(
        self, task: str, queue: str, outcome: str, count: int = 1, *, lateness: int = NEVER
    ) -> None:
        """Count runs that this transaction ends; `flush` stores it.

        Args:
            task: the name of their task.
            queue: their queue.
            outcome: the state in which they end.
            count: their number.
            lateness: the bucket of their lateness; see `duly.model.lateness`.
        """
        self.outcomes[task, queue, outcome, lateness] += count

    def flush(self) -> list[Event]:
        """Store the recorded events and the counted outcomes; return the events."""
        events, self.events = self.events, []
        stored = [event for event in events if event.kind not in ROUTINE]
        details = {id(event.detail): event.detail for event in stored}  # many events share one
        texts = {key: payload.encode(value) if value else None for key, value in details.items()}
        rows = [_event_row(event, texts[id(event.detail)]) for event in stored]
        insert_rows(self.conn, tables.event, rows)
        if stored and self.on_events is not None:
            self.on_events(self, stored)
        counted, self.outcomes = self.outcomes, Counter()
        minute = self.minute if counted else None
        counts = [_count_row(*each, minute) for each in counted.items()]
        insert_rows(self.conn, tables.outcome_count, counts)
        return events

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert the rows whose keys are free and skip the others; see `insert_rows`."""
        return insert_rows(self.conn, table, rows, on_conflict_ignore=True)


OnEvents = Callable[[Transaction, Sequence[Event]], None]
"""A function that may write more in the transaction that records events."""


def _count_row(key: tuple[str, str, str, int], count: int, minute: int | None) -> dict[str, Any]:
    task, queue, outcome, lateness = key
    return {
        "task": task, "queue": queue, "outcome": outcome, "minute": minute, "lateness": lateness,
        "count": count,
    }  # fmt: skip


def _event_row(event: Event, detail: str | None) -> dict[str, Any]:
    return {
        "at": event.at, "kind": event.kind, "job_id": event.job_id, "run_id": event.run_id,
        "worker_id": event.worker_id, "actor": event.actor, "reason": event.reason,
        "request_id": event.request_id, "detail": detail,
    }  # fmt: skip
