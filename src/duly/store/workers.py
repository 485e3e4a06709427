"""Workers: heartbeats, leases, permission to claim, and the runs of dead workers.

A worker has two rows. Its row in ``duly_worker`` describes it and carries its lease, and its
heartbeat writes it. Its row in ``duly_claimer`` is the permission to claim: every claim holds a
share lock on it, and a shutdown or a rescuer deletes it before it takes the worker's runs away.
They are apart so that a heartbeat never waits for a claim: on PostgreSQL, claims that overlap would
let it wait forever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from duly.store import jobs
from duly.store.rows import RunRow, run_rows
from duly.store.sql.columns import Id
from duly.store.tables import RUNNING, claimer, run, worker
from duly.store.transaction import Transaction

CLOCK_STEP = timedelta(seconds=2)
"""The largest difference between the clocks of live workers."""


def add(tx: Transaction, row: Mapping[str, Any]) -> None:
    """Store the rows of a worker that starts."""
    tx.conn.execute(insert(worker), row)
    tx.conn.execute(insert(claimer), {"worker_id": row["id"]})


def beat(
    conn: Connection,
    worker_id: str,
    now: datetime,
    lease_until: datetime,
    *,
    draining: bool,
    process_jobs: str | None = None,
) -> bool:
    """Renew a worker's lease, and return whether it was renewed.

    It is not if its row is gone, or if the worker takes runs although it was asked to drain.

    Args:
        conn: a connection in a transaction.
        worker_id: the worker.
        now: the present.
        lease_until: until when it counts as alive without another heartbeat.
        draining: whether it takes no more runs.
        process_jobs: its reports about process jobs; see `encode_reports`.
    """
    values: dict[str, Any] = {"beat_at": now, "lease_until": lease_until, "draining": draining}
    if process_jobs is not None:
        values["process_jobs"] = process_jobs
    statement = update(worker).where(worker.c.id == worker_id).values(**values)
    if not draining:
        statement = statement.where(~worker.c.drain_requested)
    return conn.execute(statement).rowcount == 1


def lock_row(tx: Transaction, worker_id: str) -> Row[Any] | None:
    """Lock a worker's row, which delays its heartbeat, and return it if it exists."""
    own = select(worker).where(worker.c.id == worker_id)
    return tx.conn.execute(tx.dialect.lock_rows(own)).one_or_none()


def request_drain(tx: Transaction, worker_id: str) -> None:
    """Ask a worker to take no more runs; its next heartbeat finds the request."""
    values = {"drain_requested": True, "draining": True}
    tx.conn.execute(update(worker).where(worker.c.id == worker_id).values(**values))


def all_rows(conn: Connection) -> Sequence[Row[Any]]:
    """Return the rows of all workers, oldest first."""
    return conn.execute(select(worker).order_by(worker.c.started_at, worker.c.id)).all()


def suspect(tx: Transaction, worker_id: str, beat_at: datetime) -> None:
    """Record that a worker was silent, for a rescuer that finds the same last beat later."""
    seen = (worker.c.id == worker_id) & (worker.c.beat_at == beat_at)
    values = {"suspected_at": tx.now, "suspected_beat": beat_at}
    tx.conn.execute(update(worker).where(seen).values(**values))


def lock(tx: Transaction, worker_id: str) -> bool:
    """Lock a worker's permission to claim, so that it is not withdrawn before the commit.

    A claim with this lock cannot give a run to a worker whose runs are being taken away.

    Returns:
        Whether the worker may claim: it is neither dead nor stopping, and has its lease.
    """
    return lock_and_read(tx, worker_id, _NOTHING, {}) is not None


def lock_and_read(
    tx: Transaction, worker_id: str, wanted: Select[Any], parameters: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Lock a worker's permission as `lock` does, and read further columns in the same statement.

    The columns are read as of the beginning of the statement, before any wait for the lock.

    Args:
        tx: the transaction.
        worker_id: the worker.
        wanted: columns that are subqueries.
        parameters: the parameters of the subqueries.

    Returns:
        The columns; ``None``: the worker must not claim; see `lock`.
    """
    statement = tx.dialect.lock_rows(_with_lease(wanted), share=True)
    found = tx.conn.execute(statement, {**parameters, "locked_worker": worker_id}).one_or_none()
    if found is None or found.lease_until is None:
        return None
    if tx.dialect.leases_by_heartbeat and found.lease_until <= tx.now:
        return None
    return found[1:]


@lru_cache(maxsize=64)
def _with_lease(wanted: Select[Any]) -> Select[Any]:
    """Select the worker's lease, which is not locked, and the wanted columns."""
    own = bindparam("locked_worker", type_=Id)
    lease = select(worker.c.lease_until).where(worker.c.id == own).scalar_subquery()
    columns = (lease.label("lease_until"), *wanted.selected_columns)
    return select(*columns).select_from(claimer).where(claimer.c.worker_id == own)


_NOTHING = select()


def stop_claiming(tx: Transaction, worker_id: str) -> None:
    """Withdraw a worker's permission to claim, after the claims that are in progress.

    What a later statement of the transaction finds running under the worker is all that it has.
    """
    tx.conn.execute(delete(claimer).where(claimer.c.worker_id == worker_id))


def has_stopped(conn: Connection, worker_id: str) -> bool:
    """Return whether a worker has stopped in an orderly way, although it has not signed off."""
    permission = select(claimer.c.worker_id).where(claimer.c.worker_id == worker_id)
    return conn.execute(permission).first() is None


def allow_claims(tx: Transaction, worker_id: str) -> bool:
    """Give a worker that had stopped its permission to claim back, unless its row is gone."""
    again = update(worker).where(worker.c.id == worker_id).values(drain_requested=False)
    if tx.conn.execute(again).rowcount == 0:
        return False
    stop_claiming(tx, worker_id)
    tx.conn.execute(insert(claimer), {"worker_id": worker_id})
    return True


def remove(tx: Transaction, worker_id: str, now: datetime | None) -> bool:
    """Remove a worker's rows, before its runs are released; return whether they were removed.

    Args:
        tx: the transaction that will also release the runs.
        worker_id: the worker.
        now: remove it only if its lease has expired at this instant; ``None``: always. A beat in
            the future comes from a clock that has since been set back, so it does not count.
    """
    permission = select(claimer.c.worker_id).where(claimer.c.worker_id == worker_id)
    tx.conn.execute(tx.dialect.lock_rows(permission)).all()  # waits for claims in progress
    statement = select(worker.c.id).where(worker.c.id == worker_id)
    if now is not None:
        ahead = worker.c.beat_at > now + CLOCK_STEP
        statement = statement.where((worker.c.lease_until <= now) | ahead)
    if tx.conn.execute(tx.dialect.lock_rows(statement)).scalar() is None:
        return False
    stop_claiming(tx, worker_id)
    tx.conn.execute(delete(worker).where(worker.c.id == worker_id))
    return True


def jobs_of(conn: Connection, worker_id: str) -> list[str]:
    """Return the ids of the jobs of a worker's running runs."""
    statement = select(run.c.job_id).where(RUNNING, run.c.worker_id == worker_id).distinct()
    return [job_id for job_id in conn.execute(statement).scalars() if job_id is not None]


def runs_of(tx: Transaction, worker_id: str) -> Sequence[RunRow]:
    """Lock and return a worker's running runs."""
    statement = select(run).where(RUNNING, run.c.worker_id == worker_id).order_by(run.c.id)
    return run_rows(tx.conn.execute(tx.dialect.lock_rows(statement)))


def orphans(tx: Transaction, limit: int, before: datetime | None = None) -> Sequence[RunRow]:
    """Lock and return running runs whose worker has no row; their jobs are locked first.

    Args:
        tx: the transaction that will also release them.
        limit: the maximum number of runs.
        before: only runs claimed before this instant.
    """
    statement = _orphans(run.c.id, run.c.job_id).order_by(run.c.id).limit(limit)
    if before is not None:
        statement = statement.where(run.c.started_at <= before)
    found = tx.conn.execute(statement).all()
    if not found:
        return []
    jobs.lock(tx, {row.job_id for row in found if row.job_id is not None})
    chosen = _orphans(run).where(run.c.id.in_([row.id for row in found])).order_by(run.c.id)
    return run_rows(tx.conn.execute(tx.dialect.lock_rows(chosen, skip_locked=True)))


def any_orphans(conn: Connection) -> bool:
    """Return whether there are running runs whose worker has no row."""
    return conn.execute(_orphans(run.c.id).limit(1)).first() is not None


def held_claims(conn: Connection, worker_id: str) -> set[tuple[str, str]]:
    """Return the ids of a worker's running runs, each with the id of its claim."""
    statement = select(run.c.id, run.c.claim_id).where(RUNNING, run.c.worker_id == worker_id)
    return {(row.id, row.claim_id) for row in conn.execute(statement)}


def cancel_requests(conn: Connection, worker_id: str) -> list[str]:
    """Return the ids of a worker's running runs whose cancellation was requested."""
    statement = select(run.c.id).where(RUNNING, run.c.worker_id == worker_id)
    return list(conn.execute(statement.where(run.c.cancel_requested)).scalars())


def _orphans(*columns: Any) -> Select[Any]:
    known = select(worker.c.id).where(worker.c.id == run.c.worker_id).exists()
    return select(*columns).where(RUNNING, ~known)
