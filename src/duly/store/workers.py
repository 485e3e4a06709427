"""Worker rows, and taking runs away from workers that are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from duly.store import jobs
from duly.store.rows import RunRow, run_rows
from duly.store.sql.columns import Id
from duly.store.tables import RUNNING, run, worker
from duly.store.transaction import Transaction

CLOCK_STEP = timedelta(seconds=2)
"""How far workers that beat may be apart in what they take for the present."""


def add(tx: Transaction, row: Mapping[str, Any]) -> None:
    """Store a worker that starts."""
    tx.conn.execute(insert(worker), row)


def beat(
    conn: Connection, worker_id: str, now: datetime, lease_until: datetime, *, draining: bool
) -> bool:
    """Prolong a worker's lease; says whether its row is still there."""
    values = {"beat_at": now, "lease_until": lease_until, "draining": draining}
    result = conn.execute(update(worker).where(worker.c.id == worker_id).values(**values))
    return result.rowcount == 1


def all_of(conn: Connection) -> Sequence[Row[Any]]:
    """All workers, oldest first."""
    return conn.execute(select(worker).order_by(worker.c.started_at, worker.c.id)).all()


def suspect(tx: Transaction, worker_id: str, beat_at: datetime) -> None:
    """Note that a worker was silent when seen; whoever sees the same beat later knows more."""
    seen = (worker.c.id == worker_id) & (worker.c.beat_at == beat_at)
    values = {"suspected_at": tx.now, "suspected_beat": beat_at}
    tx.conn.execute(update(worker).where(seen).values(**values))


def hold(tx: Transaction, worker_id: str) -> bool:
    """Keep a worker's own row from being removed until the transaction ends.

    A claim that does so cannot leave a run with a worker that a rescuer has just removed.
    Says whether the worker still has its row and its lease.
    """
    return hold_and_read(tx, worker_id, _NOTHING, {}) is not None


def hold_and_read(
    tx: Transaction, worker_id: str, wanted: Select[Any], parameters: Mapping[str, Any]
) -> Sequence[Any] | None:
    """See `hold`; answers one row of further questions in the same statement.

    They are answered as of its beginning, which may be before a wait for the worker's row.

    Args:
        tx: the transaction.
        worker_id: who.
        wanted: columns that are subqueries.
        parameters: theirs.

    Returns:
        The columns; ``None``: the worker has lost its row or its lease.
    """
    statement = tx.dialect.lock_rows(_held(wanted), share=True)
    found = tx.conn.execute(statement, {**parameters, "held_worker": worker_id}).one_or_none()
    if found is None or (tx.dialect.leases_by_heartbeat and found.lease_until <= tx.now):
        return None
    return found[1:]


@lru_cache(maxsize=64)
def _held(wanted: Select[Any]) -> Select[Any]:
    """The row to be held beside what is wanted."""
    own = worker.c.id == bindparam("held_worker", type_=Id)
    return select(worker.c.lease_until, *wanted.selected_columns).where(own)


_NOTHING = select()


def take_away(tx: Transaction, worker_id: str, now: datetime | None) -> bool:
    """Remove a worker's row before its runs are released; says whether it was there.

    Args:
        tx: the transaction that goes on to release the runs.
        worker_id: whom.
        now: only if the lease is over at this instant; ``None``: in any case. A beat that lies
            in the future is of a clock that has since been set back: it proves no life.
    """
    statement = select(worker.c.id).where(worker.c.id == worker_id)
    if now is not None:
        ahead = worker.c.beat_at > now + CLOCK_STEP
        statement = statement.where((worker.c.lease_until <= now) | ahead)
    if tx.conn.execute(tx.dialect.lock_rows(statement)).scalar() is None:
        return False
    tx.conn.execute(delete(worker).where(worker.c.id == worker_id))
    return True


def jobs_of(conn: Connection, worker_id: str) -> list[str]:
    """The ids of the jobs of a worker's running runs."""
    statement = select(run.c.job_id).where(RUNNING, run.c.worker_id == worker_id).distinct()
    return [job_id for job_id in conn.execute(statement).scalars() if job_id is not None]


def runs_of(tx: Transaction, worker_id: str) -> Sequence[RunRow]:
    """A worker's running runs, locked."""
    statement = select(run).where(RUNNING, run.c.worker_id == worker_id).order_by(run.c.id)
    return run_rows(tx.conn.execute(tx.dialect.lock_rows(statement)))


def orphans(tx: Transaction, limit: int, before: datetime | None = None) -> Sequence[RunRow]:
    """Running runs, locked, whose worker has no row; their jobs, which others lock first, too.

    Args:
        tx: the transaction that goes on to release them.
        limit: how many at most.
        before: only those claimed before this instant.
    """
    statement = _orphans(run.c.id, run.c.job_id).order_by(run.c.id).limit(limit)
    if before is not None:
        statement = statement.where(run.c.started_at <= before)
    found = tx.conn.execute(statement).all()
    if not found:
        return []
    jobs.lock(tx, {row.job_id for row in found if row.job_id is not None})
    held = _orphans(run).where(run.c.id.in_([row.id for row in found])).order_by(run.c.id)
    return run_rows(tx.conn.execute(tx.dialect.lock_rows(held, skip_locked=True)))


def any_orphans(conn: Connection) -> bool:
    """Whether there are running runs whose worker has no row."""
    return conn.execute(_orphans(run.c.id).limit(1)).first() is not None


def held_claims(conn: Connection, worker_id: str) -> set[tuple[str, str]]:
    """The running runs that bear a worker's id, each with the claim that it bears."""
    statement = select(run.c.id, run.c.claim_id).where(RUNNING, run.c.worker_id == worker_id)
    return {(row.id, row.claim_id) for row in conn.execute(statement)}


def free_occupied(conn: Connection, worker_id: str) -> None:
    """Free the places that a dead worker's functions still held."""
    held = (run.c.worker_id == worker_id, run.c.occupied)
    conn.execute(update(run).where(*held).values(occupied=False))


def cancel_requests(conn: Connection, worker_id: str) -> list[str]:
    """The worker's running runs that somebody asked to cancel."""
    statement = select(run.c.id).where(RUNNING, run.c.worker_id == worker_id)
    return list(conn.execute(statement.where(run.c.cancel_requested)).scalars())


def _orphans(*columns: Any) -> Select[Any]:
    known = select(worker.c.id).where(worker.c.id == run.c.worker_id).exists()
    return select(*columns).where(RUNNING, ~known)
