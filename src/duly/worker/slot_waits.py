"""Make runs that wait for a slot of their job ready when a slot is free."""

from __future__ import annotations

from collections.abc import Sequence

from duly.errors import ConfigurationError, PayloadError
from duly.model.policy import decode_options
from duly.store import jobs, runs, transitions
from duly.store.runs import SlotQueue
from duly.store.store import Store
from duly.store.transaction import Transaction

BATCH = 50
"""Jobs in one transaction: it takes less than 50 ms on SQLite (engine rule 27)."""

OF_REMOVED_JOB = 1
"""The number of slots of a job that was removed while its runs waited."""


def release_waiting(store: Store) -> None:
    """Make waiting runs ready, by priority and then by age, as far as ``max_running`` allows."""
    with store.read() as conn:  # no transaction is begun while every slot is taken
        free = [queue for queue in runs.slot_queues(conn) if _free_slots(queue)]
    free.sort(key=lambda queue: (queue.job_id, queue.exists))
    for first in range(0, len(free), BATCH):
        batch = free[first : first + BATCH]
        store.run(lambda tx, batch=batch: _release(tx, batch))  # type: ignore[misc]


def _release(tx: Transaction, queues: Sequence[SlotQueue]) -> None:
    locked = {row.id: row for row in jobs.lock(tx, {queue.job_id for queue in queues})}
    occupied = runs.occupancy(tx.conn, {job_id: row.uid for job_id, row in locked.items()})
    freed: list[str] = []
    for queue in queues:
        current, job = queue._replace(exists=False), locked.get(queue.job_id)
        if job is not None and job.uid == queue.job_uid:
            executing = occupied[job.id].active + occupied[job.id].backfill
            current = SlotQueue(job.id, job.uid, True, job.options, executing)
        slots = _free_slots(current)
        if slots:
            freed += runs.waiting(tx, queue.job_id, queue.job_uid, slots)
    transitions.give_slots(tx, freed)


def _free_slots(queue: SlotQueue) -> int:
    """Return how many runs may start; none if options of a newer version cannot be read here."""
    limit = OF_REMOVED_JOB
    if queue.exists:
        try:
            limit = decode_options(queue.options).max_running
        except (ConfigurationError, PayloadError):
            return 0
    return max(0, limit - queue.executing)
