"""History: attempts, log lines, missed ranges and events, and their deletion when they expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, insert, select, update

from duly.model.retention import KEEP_EVENTS
from duly.store.sql.columns import Instant
from duly.store.tables import (
    ENDED,
    LIVE,
    attempt,
    decision_range,
    dependency,
    event,
    job,
    job_tag,
    run,
    run_log,
)
from duly.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The conditions of a query for events, combined with AND.

    Attributes:
        after: only events with a higher id than this.
        before: only events with a lower id than this.
        newest: whether to return the newest first.
        owners: only events of the jobs that these owners have now, and of their runs.
    """

    after: int = 0
    before: int | None = None
    kind: str | None = None
    job: str | None = None
    newest: bool = False
    limit: int = 100
    owners: Sequence[str] | None = None
    run: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def attempts(conn: Connection, run_id: str) -> Sequence[Row[Any]]:
    """Return a run's unsuccessful attempts, oldest first."""
    statement = select(attempt).where(attempt.c.run_id == run_id).order_by(attempt.c.attempt)
    return conn.execute(statement).all()


def log_lines(
    conn: Connection, run_id: str, after: int = 0, limit: int | None = None
) -> Sequence[Row[Any]]:
    """Return a run's log lines after the line with the id ``after``, oldest first."""
    statement = select(run_log).where(run_log.c.run_id == run_id, run_log.c.id > after)
    return conn.execute(statement.order_by(run_log.c.id).limit(limit)).all()


def events(conn: Connection, wanted: EventFilter) -> Sequence[Row[Any]]:
    """Return the matching events in the requested order."""
    statement = select(event).where(event.c.id > wanted.after)
    if wanted.before is not None:
        statement = statement.where(event.c.id < wanted.before)
    for column, value in (
        (event.c.kind, wanted.kind),
        (event.c.job_id, wanted.job),
        (event.c.run_id, wanted.run),
        (event.c.actor, wanted.actor),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.since is not None:
        statement = statement.where(event.c.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(event.c.at < wanted.until)
    if wanted.owners is not None:
        statement = statement.where(_belongs_to(wanted.owners))
    order = event.c.id.desc() if wanted.newest else event.c.id
    return conn.execute(statement.order_by(order).limit(wanted.limit)).all()


def events_beyond(
    conn: Connection, last: int, missing: Sequence[int], limit: int
) -> Sequence[Row[Any]]:
    """Return events with these ids, and those with greater ids than ``last``, in order.

    Each row has ``job_owner`` and ``run_owner`` too; see `_belongs_to`.
    """
    found = [] if not missing else conn.execute(_OWNED.where(event.c.id.in_(missing))).all()
    newer = _OWNED.where(event.c.id > last).order_by(event.c.id).limit(limit)
    return [*sorted(found, key=lambda row: row.id), *conn.execute(newer)]


def newest_event_ids(conn: Connection, limit: int) -> list[int]:
    """Return the ids of the newest events, the newest first."""
    return list(conn.execute(select(event.c.id).order_by(event.c.id.desc()).limit(limit)).scalars())


def _belongs_to(owners: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that an event concerns a job or a run of these owners.

    An earlier job of the same id may have been another owner's.
    """
    of_job = select(job.c.id).where(
        job.c.id == event.c.job_id, job.c.created_at <= event.c.at, job.c.owner.in_(owners)
    )
    of_run = select(run.c.id).where(run.c.id == event.c.run_id, run.c.owner.in_(owners))
    return of_job.exists() | of_run.exists()


def add_ranges(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store ranges of missed nominal times; one that continues a stored range extends it.

    Args:
        tx: the transaction.
        rows: the columns of each range, and ``follows``: the nominal time of the job that was
            decided just before the first one of the range, or ``None``.
    """
    range_ids = _ranges_ending(tx, rows)
    extended, new = [], []
    for row in rows:
        columns = {name: value for name, value in row.items() if name != "follows"}
        range_id = range_ids.get((row["job_id"], row["follows"], row["reason"]))
        if range_id is None:
            new.append(columns)
        else:
            extended.append({"range_id": range_id, "to_last": row["last"], "more": row["count"]})
    if extended:
        tx.conn.execute(_EXTEND, extended)
    if new:
        tx.conn.execute(insert(decision_range), new)


def _ranges_ending(
    tx: Transaction, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, datetime | None, str], int]:
    ends = sorted({row["follows"] for row in rows if row["follows"] is not None})
    if not ends:
        return {}
    columns = decision_range.c
    statement = select(columns.id, columns.job_id, columns.last, columns.reason).where(
        columns.job_uid.in_([row["job_uid"] for row in rows]),
        columns.job_id.in_([row["job_id"] for row in rows]),
        columns.last.in_(ends),
        columns.superseded_at.is_(None),
    )
    return {(row.job_id, row.last, row.reason): row.id for row in tx.conn.execute(statement)}


def ranges(conn: Connection, job_id: str, limit: int) -> Sequence[Row[Any]]:
    """Return a job's ranges of missed times that no backfill has superseded, newest first."""
    statement = select(decision_range).where(
        decision_range.c.job_id == job_id, decision_range.c.superseded_at.is_(None)
    )
    return conn.execute(statement.order_by(decision_range.c.last.desc()).limit(limit)).all()


def prune(tx: Transaction, limit: int) -> int:
    """Delete up to ``limit`` runs whose retention has expired, with their attempts and logs."""
    chosen = (
        select(run.c.id)
        .where(run.c.keep_until.is_not(None), run.c.keep_until <= tx.now)
        .order_by(run.c.keep_until)
        .limit(limit)
    )
    ids = list(tx.conn.execute(tx.dialect.lock_rows(chosen, skip_locked=True)).scalars())
    if ids:
        for table in (attempt, run_log):
            tx.conn.execute(delete(table).where(table.c.run_id.in_(ids)))
        tx.conn.execute(delete(run).where(run.c.id.in_(ids)))
    return len(ids)


def prune_events(tx: Transaction, limit: int) -> int:
    """Delete up to ``limit`` events that are older than `KEEP_EVENTS`."""
    old = select(event.c.id).where(event.c.at < tx.now - KEEP_EVENTS).order_by(event.c.at)
    ids = list(tx.conn.execute(old.limit(limit)).scalars())
    if ids:
        tx.conn.execute(delete(event).where(event.c.id.in_(ids)))
    return len(ids)


def prune_jobs(tx: Transaction, limit: int) -> int:
    """Delete up to ``limit`` jobs that finished longer than `KEEP_EVENTS` ago.

    A job that others run after is kept, as `remove` refuses to remove it, and so is a job with an
    unfinished run.
    """
    oldest = tx.now - KEEP_EVENTS
    statement = (
        select(job.c.id)
        .where(ENDED, job.c.origin != "code", job.c.updated_at < oldest)
        .where(job.c.last_nominal.is_(None) | (job.c.last_nominal < oldest), _NOT_NEEDED)
        .limit(limit)
    )
    locked = tx.conn.execute(tx.dialect.lock_rows(statement, skip_locked=True)).scalars().all()
    # Asked again now that they are locked: a dependency may have been stored meanwhile.
    unneeded = select(job.c.id).where(job.c.id.in_(locked), _NOT_NEEDED)
    ids = list(tx.conn.execute(unneeded).scalars()) if locked else []
    if ids:
        for key in (job_tag.c.job_id, dependency.c.child_id, job.c.id):
            tx.conn.execute(delete(key.table).where(key.in_(ids)))
    return len(locked)


def prune_ranges(tx: Transaction, limit: int) -> int:
    """Delete up to ``limit`` missed ranges that were decided longer than `KEEP_EVENTS` ago."""
    oldest = select(decision_range.c.id, decision_range.c.decided_at).order_by(decision_range.c.id)
    rows = tx.conn.execute(oldest.limit(limit)).all()
    ids = [row.id for row in rows if row.decided_at < tx.now - KEEP_EVENTS]
    if ids:
        tx.conn.execute(delete(decision_range).where(decision_range.c.id.in_(ids)))
    return len(ids)


_OWNED = select(event, job.c.owner.label("job_owner"), run.c.owner.label("run_owner")).select_from(
    event.outerjoin(job, (job.c.id == event.c.job_id) & (job.c.created_at <= event.c.at)).outerjoin(
        run, run.c.id == event.c.run_id
    )
)
_NOT_NEEDED = ~(
    select(dependency.c.child_id).where(dependency.c.parent_id == job.c.id).exists()
    | select(run.c.id).where(run.c.job_id == job.c.id, LIVE).exists()
)
_EXTEND = (
    update(decision_range)
    .where(decision_range.c.id == bindparam("range_id"))
    .values(
        last=bindparam("to_last", type_=Instant),
        count=decision_range.c["count"] + bindparam("more"),
    )
)
