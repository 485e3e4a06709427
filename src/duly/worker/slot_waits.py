"""Runs that wait for an earlier run of their job: who may start now."""

from __future__ import annotations

from functools import partial

from duly.model.job import Occupancy
from duly.store import jobs, runs, transitions
from duly.store.rows import JobRow, definition_of
from duly.store.store import Store
from duly.store.transaction import Transaction


def release_waiting(store: Store) -> None:
    """Make waiting runs ready, urgent and old ones first, as far as ``max_running`` allows."""
    with store.read() as conn:  # what waits may wait for hours: nothing is written until it can go
        names = runs.waiting_jobs(conn)
        rows = [row for row in map(partial(jobs.find, conn), names) if row is not None]
        gone = len(rows) < len(names)
        held = runs.occupancy(conn, names)
    if gone or any(_room(row, held[row.id]) for row in rows):
        store.run(_give_turns)


def _room(job: JobRow | None, held: Occupancy) -> int:
    limit = definition_of(job).options.max_running if job is not None else 1
    return max(0, limit - held.active - held.backfill)


def _give_turns(tx: Transaction) -> None:
    names = runs.waiting_jobs(tx.conn)
    locked = {row.id: row for row in jobs.lock(tx, names)}
    held = runs.occupancy(tx.conn, names)
    for name in names:
        room = _room(locked.get(name), held[name])
        rows = runs.waiting(tx, name, room) if room else ()
        transitions.promote(tx, [row.id for row in rows if row.due_at <= tx.now])
        later = [row.id for row in rows if row.due_at > tx.now]
        if later:
            runs.change(tx, later, waits_for_slot=False)
