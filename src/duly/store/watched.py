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


def performance(conn: Connection, row: JobRow) -> Performance:
    """Return the facts that a job's watch rules are checked against."""
    of_job = {"wanted": row.id, "uid": row.uid}
    waiting = conn.execute(_WAITING_SINCE, of_job).scalar()
    running = conn.execute(_RUNNING_SINCE, of_job).scalar()
    success = conn.execute(_LAST_SUCCESS, of_job).scalar()
    since = row.watched_since if row.state == "active" else None
    return Performance(since, row.next_fire_at, waiting, running, success, row.consecutive_failures)


_FIRST = select(func.min(job.c.watch_at)).where(WATCHED)
_OF_JOB = (run.c.job_id == bindparam("wanted")) & (run.c.job_uid == bindparam("uid"))
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
