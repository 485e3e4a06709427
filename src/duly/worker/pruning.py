"""Keep tables small, in small steps: delete expired history, and sum up the counts of outcomes."""

from __future__ import annotations

from duly.store import history, limits, notices, outcomes, throughput
from duly.store.store import Store

CHUNK = 500
STEPS = (
    history.prune, history.prune_events, history.prune_ranges, history.prune_jobs,
    limits.prune_keys, throughput.prune, notices.give_up, notices.prune, notices.prune_subjects,
)  # fmt: skip


def prune(store: Store, chunks: int = 20) -> int:
    """Delete history whose retention has expired, and return the number of deleted rows.

    Args:
        store: the database.
        chunks: the maximum number of transactions for each kind of row, of `CHUNK` rows each.
    """
    total = 0
    for step in STEPS:
        for _chunk in range(chunks):
            deleted = store.run(lambda tx, step=step: step(tx, CHUNK))  # type: ignore[misc]
            total += deleted
            if deleted < CHUNK:
                break
    return total


def sum_up(store: Store, chunks: int = 50) -> None:
    """Replace the counts that transactions have stored since the last time by their sums.

    Args:
        store: the database.
        chunks: the maximum number of transactions, of `outcomes.CHUNK` rows each.
    """
    for _chunk in range(chunks):
        if store.run(lambda tx: outcomes.sum_up(tx, outcomes.CHUNK)) < outcomes.CHUNK:
            break
