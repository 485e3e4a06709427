"""Query watched jobs and their performance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from duly.model.watch import Performance
from duly.store.rows import JobRow, job_rows
from duly.store.tables import LIVE, WATCHED, job, run
from duly.store.transaction import Transaction


def any_due(conn: Connection, now: datetime) -> bool:
    """Return whether the watch rules of any job are due to be checked."""
    first: datetime | None = conn.execute(_FIRST).scalar()
    return first is not None and first <= now


def due(tx: Transaction, after: str, limit: int) -> Sequence[JobRow]:
    """Lock and return jobs whose watch rules are due, except for those that are locked already.

    Args:
        tx: the transaction.
        after: only jobs whose ids sort after this one.
        limit: the maximum number of jobs.
    """
    statement = select(job).where(WATCHED, job.c.watch_at <= tx.now, job.c.id > after)
    locked = tx.dialect.lock_rows(statement.order_by(job.c.id).limit(limit), skip_locked=True)
    return job_rows(tx.conn.execute(locked))


def performances(conn: Connection, rows: Sequence[JobRow]) -> dict[str, Performance]:
    """Return the facts that the watch rules of jobs are checked against, by the job's id."""
    times = {}
    if rows:
        found = conn.execute(_TIMES, {"ids": [row.id for row in rows]})
        times = {id_: (waiting, running, success) for id_, waiting, running, success in found}
    return {
        row.id: Performance(
            row.watched_since if row.state == "active" else None, row.next_fire_at,
            *times[row.id], row.consecutive_failures,
        )
        for row in rows
    }  # fmt: skip


_FIRST = select(func.min(job.c.watch_at)).where(WATCHED)
_OF_JOB = (run.c.job_id == job.c.id) & (run.c.job_uid == job.c.uid)
_WAITING_SINCE = select(func.min(run.c.due_at)).where(
    _OF_JOB, LIVE, run.c.state == "ready", run.c.attempt == 0
)
_RUNNING_SINCE = select(func.min(run.c.started_at)).where(_OF_JOB, LIVE, run.c.state == "running")
_LAST_SUCCESS = (
    select(run.c.finished_at)
    .where(_OF_JOB, run.c.state == "succeeded")
    .order_by(run.c.id.desc())
    .limit(1)
)
_TIMES = select(
    job.c.id, _WAITING_SINCE.scalar_subquery(), _RUNNING_SINCE.scalar_subquery(),
    _LAST_SUCCESS.scalar_subquery(),
).where(job.c.id.in_(bindparam("ids", expanding=True)))  # fmt: skip
