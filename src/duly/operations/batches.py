"""Changes of many rows in short transactions, between which other writers get their turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from duly.model.actor import Actor
from duly.operations.core import Core
from duly.store.transaction import Transaction
from duly.worker.adaptive_batch import AdaptiveBatch

R = TypeVar("R")
ROWS_AT_ONCE = 1000
"""The maximum number of jobs, or of runs, that one transaction changes."""

ROWS_AT_LEAST = 100
"""The minimum, however slow the machine is: a transaction has a cost of its own."""

PAUSE_S = 0.02
"""Seconds between two transactions on SQLite, in which a waiting writer gets its turn."""


def in_batches(
    core: Core,
    ids: Sequence[str],
    work: Callable[[Transaction, Sequence[str]], R],
    actor: str | Actor | None,
    done: Callable[[R], None],
) -> None:
    """Change many rows in transactions that are short on SQLite (engine rule 27).

    Args:
        core: the scheduler.
        ids: the ids of the rows.
        work: changes those with the given ids, in one transaction; it may be called again for them
            if that conflicts with another one.
        actor: who acts, for the audit trail.
        done: receives what ``work`` returned, after the commit.
    """
    batch, first = AdaptiveBatch(core.store, ROWS_AT_ONCE), 0
    while first < len(ids):
        size = min(max(batch.size, ROWS_AT_LEAST), ROWS_AT_ONCE)
        chosen = ids[first : first + size]

        def change(tx: Transaction, chosen: Sequence[str] = chosen) -> R:
            began = core.clock.monotonic()
            result = work(tx, chosen)
            batch.record(len(chosen), core.clock.monotonic() - began)
            return result

        done(core.transact(change, actor=actor))
        first += len(chosen)
        if first < len(ids) and not core.store.dialect.many_writers:
            core.clock.pause(PAUSE_S)
