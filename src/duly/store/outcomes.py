"""How many runs have ended, by task, queue and outcome, since the tables were created.

A transaction that ends runs adds rows here (see `Transaction.count_outcome`), so that the counts
are exact whatever crashes, and so that they survive the runs: retention deletes those, and a retry
changes their states. Rows are only inserted, never updated: transactions that end runs of the same
task at once neither wait for each other nor leave dead versions of one row behind. Maintenance
replaces many rows by their sums; a row with the minute in which its runs ended is not a sum yet.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, delete, func, select

from duly.model.lateness import NEVER
from duly.store import throughput
from duly.store.sql.bulk_insert import insert_rows
from duly.store.tables import outcome_count
from duly.store.transaction import Transaction

Key = tuple[str, str, str]
"""A task, a queue and an outcome."""

CHUNK = 1000
FEW = 100
"""The number of rows that may be saved before it is worth a transaction."""


def totals(conn: Connection) -> dict[Key, int]:
    """Return the number of runs that have ended, by task, queue and outcome.

    A run that was retried by hand, or revived by a backfill, counts each time that it ends. Each
    nominal time that was missed counts, whether it has a row of its own or is part of a range.
    """
    key = (outcome_count.c.task, outcome_count.c.queue, outcome_count.c.outcome)
    statement = select(*key, func.sum(outcome_count.c["count"])).group_by(*key)
    return {(task, queue, end): int(total) for task, queue, end, total in conn.execute(statement)}


def sum_up(tx: Transaction, limit: int) -> int:
    """Replace the oldest rows, at most ``limit``, by one for each task, queue and outcome.

    What is lost by that, the minutes and the lateness, moves to `duly.store.throughput`.

    Returns:
        The number of rows that were looked at; 0 if there are too few for it to be worth while.
    """
    oldest = select(outcome_count).order_by(outcome_count.c.id).limit(limit)
    rows = tx.conn.execute(tx.dialect.lock_rows(oldest, skip_locked=True)).all()
    sums: Counter[Key] = Counter()
    ended: Counter[throughput.Ended] = Counter()
    for row in rows:
        task, queue, outcome, minute, lateness, count = row[1:]
        sums[task, queue, outcome] += count
        if minute is not None:
            ended[throughput.Ended(minute, outcome, lateness)] += count
    if len(rows) < min(limit, len(sums) + FEW):
        return 0
    ids = [row.id for row in rows]
    tx.conn.execute(delete(outcome_count).where(outcome_count.c.id.in_(ids)))
    throughput.add(tx, ended)
    insert_rows(tx.conn, outcome_count, [_sum_row(*each) for each in sums.items()])
    return len(rows)


def _sum_row(key: Key, count: int) -> dict[str, Any]:
    task, queue, outcome = key
    return {"task": task, "queue": queue, "outcome": outcome, "lateness": NEVER, "count": count}
