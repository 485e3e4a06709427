"""The runs that wait for a slot of their job, as one queue for each job.

What a step of the worker costs depends on the number of such jobs, not on how many runs wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select

from duly.store.sql.long_lists import among
from duly.store.tables import LIVE, WAITING, job, run
from duly.store.transaction import Transaction


class SlotQueue(NamedTuple):
    """A job, or a job that was removed, with runs that wait for a slot.

    Attributes:
        exists: whether the job still exists.
        options: its options as JSON text.
        executing: the number of its runs that have a slot.
    """

    job_id: str
    job_uid: str
    exists: bool
    options: str | None
    executing: int


def find(conn: Connection) -> list[SlotQueue]:
    """Return the jobs with runs that wait for a slot."""
    wanted = [(row.job_id, row.job_uid) for row in conn.execute(_QUEUED)]
    return _counted(conn, _jobs(conn.dialect.name), wanted) if wanted else []


def lock(tx: Transaction, queues: Iterable[SlotQueue]) -> list[SlotQueue]:
    """Lock the jobs in the order of their ids, then count again (engine rule 12)."""
    wanted = [(queue.job_id, queue.job_uid) for queue in queues]
    return _counted(tx.conn, tx.dialect.lock_rows(_jobs(tx.dialect.name)), wanted)


def lock_next(tx: Transaction, slots: Mapping[SlotQueue, int]) -> list[str]:
    """Lock the next runs of each queue, by priority, then by age; return their ids.

    Jobs with one free slot, which are most, share two statements.

    Args:
        tx: a transaction that has locked the jobs.
        slots: the number of free slots of each job.
    """
    single = [queue.job_id for queue, free in slots.items() if queue.exists and free == 1]
    found: list[str] = []
    if single:
        first = tx.conn.execute(_first(tx.dialect.name), {"ids": single}).scalars()
        still_waiting = tx.dialect.lock_rows(_still_waiting(tx.dialect.name), skip_locked=True)
        ids = [run_id for run_id in first if run_id is not None]
        found += tx.conn.execute(still_waiting, {"ids": ids}).scalars()
    of_queue = tx.dialect.lock_rows(_NEXT, skip_locked=True)
    for queue, free in slots.items():
        if free > 1 or not queue.exists:
            wanted = {"job_id": queue.job_id, "job_uid": queue.job_uid, "limit": free}
            found += tx.conn.execute(of_queue, wanted).scalars()
    return found


def _counted(
    conn: Connection, select_jobs: Select[Any], wanted: Sequence[tuple[str, str]]
) -> list[SlotQueue]:
    """Return the queues of jobs, by id and uid; those of removed jobs do not exist any more."""
    ids = {"ids": sorted({job_id for job_id, _uid in wanted})}
    options = {(row.id, row.uid): row.options for row in conn.execute(select_jobs, ids)}
    rows = conn.execute(_executing(conn.dialect.name), ids)
    executing = {(job_id, uid): number for job_id, uid, number in rows}
    return [
        SlotQueue(*key, key in options, options.get(key), executing.get(key, 0)) for key in wanted
    ]


_QUEUED = select(run.c.job_id, run.c.job_uid).where(WAITING).distinct()
_IN_ORDER = select(run.c.id).where(WAITING).order_by(run.c.priority, run.c.id)
_NEXT = _IN_ORDER.where(
    run.c.job_id == bindparam("job_id"), run.c.job_uid == bindparam("job_uid")
).limit(bindparam("limit"))


@cache
def _jobs(database: str) -> Select[Any]:
    chosen = among(database, job.c.id, "ids")
    return select(job.c.id, job.c.uid, job.c.options).where(chosen).order_by(job.c.id)


@cache
def _executing(database: str) -> Select[Any]:
    of_job = run.c.job_id, run.c.job_uid
    has_slot = among(database, run.c.job_id, "ids"), LIVE, ~run.c.waits_for_slot
    return select(*of_job, func.count()).where(*has_slot).group_by(*of_job)


@cache
def _first(database: str) -> Select[Any]:
    of_job = run.c.job_id == job.c.id, run.c.job_uid == job.c.uid
    first = _IN_ORDER.where(*of_job).limit(1).correlate(job).scalar_subquery()
    return select(first).where(among(database, job.c.id, "ids"))


@cache
def _still_waiting(database: str) -> Select[Any]:
    chosen = among(database, run.c.id, "ids")
    return select(run.c.id).where(chosen, WAITING).order_by(run.c.id)
