"""Pruning: history is deleted in small steps when its time is over."""

from __future__ import annotations

from duly.store import history, limits
from duly.store.store import Store

CHUNK = 500
STEPS = (
    history.prune, history.prune_events, history.prune_ranges, history.prune_jobs,
    limits.prune_keys,
)  # fmt: skip


def prune(store: Store, chunks: int = 20) -> int:
    """Delete history that is older than it must be kept.

    Args:
        store: the database.
        chunks: at most so many transactions of 500 rows each; the rest waits for the next call.

    Returns:
        How many rows went.
    """
    gone = 0
    for step in STEPS:
        for _chunk in range(chunks):
            deleted = store.run(lambda tx, step=step: step(tx, CHUNK))  # type: ignore[misc]
            gone += deleted
            if deleted < CHUNK:
                break
    return gone
