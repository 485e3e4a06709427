"""Firing: due jobs become runs, scheduled runs ready, and runs too old to start missed."""

from __future__ import annotations

from duly.model.policy import decode_run_policy
from duly.occurrences import settle
from duly.store import jobs, runs
from duly.store.agenda import Agenda
from duly.store.store import Store
from duly.store.transaction import Transaction

BATCH = 500


def fire(store: Store, agenda: Agenda) -> bool:
    """Decide everything that has come; says whether there was anything that could be decided.

    While the clock has just leapt, nothing is decided: it may leap back.
    """
    if not store.time.settled:
        return False
    now = store.time.now()
    moved = 0
    if agenda.next_due is not None and agenda.next_due <= now:
        moved += store.run(lambda tx: runs.promote_due(tx, BATCH))
    if agenda.next_expiry is not None and agenda.next_expiry <= now:
        moved += store.run(_expire)
    if agenda.next_fire is not None and agenda.next_fire <= now:
        moved += store.run(_decide)
    return moved > 0


def _decide(tx: Transaction) -> int:
    due = jobs.due(tx, BATCH)
    if due:
        settle(tx, due)
    return len(due)


def _expire(tx: Transaction) -> int:
    rows = runs.expired(tx, BATCH)
    for row in rows:
        reason = f"not started by {row.expires_at:%Y-%m-%d %H:%M:%S} UTC (expires)"
        runs.change(
            tx, [row.id], state="missed", reason=reason, finished_at=tx.now, unique_key=None,
            keep_until=decode_run_policy(row.policy).keep_until("missed", tx.now),
        )  # fmt: skip
        tx.record("run.missed", job_id=row.job_id, run_id=row.id, reason=reason)
    return len(rows)
