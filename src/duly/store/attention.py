"""Find the jobs that do not run although they should, each by an index of few rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from duly.store.rows import JobRow, job_rows
from duly.store.sql.columns import Instant
from duly.store.tables import ALARMED, NOTABLE, PAUSED, READY, RUNNING, job, run

SOME = 500
"""The number of waiting, running or missed runs that are looked at."""

BEFORE = bindparam("before", type_=Instant)


def alarmed(conn: Connection, limit: int) -> Sequence[JobRow]:
    """Return jobs that break their watch rules."""
    return job_rows(
        conn.execute(select(job).where(ALARMED).order_by(job.c.alarm, job.c.id).limit(limit))
    )


def paused_since(conn: Connection, before: datetime, limit: int) -> Sequence[JobRow]:
    """Return the jobs that were paused before an instant, the latest pause first."""
    long = select(job).where(PAUSED, job.c.paused_at < before)
    return job_rows(conn.execute(long.order_by(job.c.paused_at.desc()).limit(limit)))


def waiting(conn: Connection, queue: str, before: datetime, limit: int) -> Sequence[Row[Any]]:
    """Return the jobs whose runs have waited in a queue since before an instant.

    Each row has ``job_id`` and ``due_at``, when the oldest of its runs was due.
    """
    values = {"in_queue": queue, "before": before, "most": limit}
    found: Sequence[Row[Any]] = conn.execute(_WAITING, values).all()
    return found


def blocked(conn: Connection, before: datetime, limit: int) -> Sequence[Row[Any]]:
    """Return active jobs with a run that began before an instant, and later nominal times.

    Each row has ``job_id``, ``run_id`` and ``started_at``; the longest runs are first.
    """
    found: Sequence[Row[Any]] = conn.execute(_BLOCKED, {"before": before, "most": limit}).all()
    return found


def missed(conn: Connection, limit: int) -> Sequence[Row[Any]]:
    """Return finished jobs whose newest run was missed, so that nothing will make up for it.

    Each row has ``job_id``, ``run_id``, ``due_at`` and ``reason``; the newest runs are first.
    """
    found: Sequence[Row[Any]] = conn.execute(_MISSED, {"most": limit}).all()
    return found


def _waiting() -> Select[Any]:
    ready = select(run.c.job_id, run.c.due_at).where(
        READY,
        run.c.queue == bindparam("in_queue"),
        run.c.job_id.is_not(None),
        run.c.due_at < BEFORE,
    )
    # In the order of the index, which MariaDB would otherwise not choose.
    order = (run.c.concurrency_key, run.c.priority, run.c.due_at, run.c.id)
    some = ready.order_by(*order).limit(SOME).subquery()
    oldest = func.min(some.c.due_at).label("due_at")
    grouped: Select[Any] = select(some.c.job_id, oldest).group_by(some.c.job_id)
    return grouped.order_by(oldest, some.c.job_id).limit(bindparam("most"))


def _blocked() -> Select[Any]:
    columns = (run.c.id, run.c.job_id, run.c.job_uid, run.c.started_at, run.c.scheduled_for)
    running = select(*columns).where(RUNNING, run.c.started_at < BEFORE).limit(SOME).subquery().c
    began = func.coalesce(running.scheduled_for, running.started_at)
    return (
        select(job.c.id.label("job_id"), running.id.label("run_id"), running.started_at)
        .join_from(running.id.table, job, job.c.id == running.job_id)
        .where(job.c.uid == running.job_uid, job.c.state == "active", job.c.last_nominal > began)
        .order_by(running.started_at, running.id)
        .limit(bindparam("most"))
    )


def _missed() -> Select[Any]:
    columns = (run.c.id, run.c.job_id, run.c.job_uid, run.c.due_at, run.c.reason)
    of_state = select(*columns).where(NOTABLE, run.c.state == "missed")
    missed = of_state.order_by(run.c.id.desc()).limit(SOME).subquery().c
    newer = run.alias("newer").c
    has_newer = select(newer.id).where(newer.job_id == missed.job_id, newer.id > missed.id).exists()
    return (
        select(missed.job_id, missed.id.label("run_id"), missed.due_at, missed.reason)
        .join_from(missed.id.table, job, job.c.id == missed.job_id)
        .where(job.c.uid == missed.job_uid, job.c.state == "finished", ~has_newer)
        .order_by(missed.id.desc())
        .limit(bindparam("most"))
    )


_WAITING = _waiting()
_BLOCKED = _blocked()
_MISSED = _missed()
