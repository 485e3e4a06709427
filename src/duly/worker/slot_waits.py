"""Make runs that wait for a slot of their job ready when a slot is free."""

from __future__ import annotations

from functools import partial

from duly.model.job import Occupancy
from duly.store import jobs, runs, transitions
from duly.store.rows import JobRow, definition_of
from duly.store.store import Store
from duly.store.transaction import Transaction


def release_waiting(store: Store) -> None:
    """Make waiting runs ready, by priority and then by age, as far as ``max_running`` allows."""
    with store.read() as conn:  # no transaction is begun while every slot is taken
        names = runs.waiting_jobs(conn)
        rows = [row for row in map(partial(jobs.find, conn), names) if row is not None]
        gone = len(rows) < len(names)
        occupied = runs.occupancy(conn, names)
    if gone or any(_free_slots(row, occupied[row.id]) for row in rows):
        store.run(_release)


def _free_slots(job: JobRow | None, occupancy: Occupancy) -> int:
    limit = definition_of(job).options.max_running if job is not None else 1
    return max(0, limit - occupancy.active - occupancy.backfill)


def _release(tx: Transaction) -> None:
    names = runs.waiting_jobs(tx.conn)
    locked = {row.id: row for row in jobs.lock(tx, names)}
    occupied = runs.occupancy(tx.conn, names)
    for name in names:
        slots = _free_slots(locked.get(name), occupied[name])
        rows = runs.waiting(tx, name, slots) if slots else ()
        transitions.promote(tx, [row.id for row in rows if row.due_at <= tx.now])
        later = [row.id for row in rows if row.due_at > tx.now]
        if later:
            runs.change(tx, later, waits_for_slot=False)
