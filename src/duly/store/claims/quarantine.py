"""Query and claim quarantined runs, which execute with nothing beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, exists, select

from duly.store import limits
from duly.store.control import STOPPED
from duly.store.dialect import Choice
from duly.store.sql.columns import Instant
from duly.store.tables import QUARANTINED, control, queue, run
from duly.store.transaction import Transaction


def next_quarantined(
    conn: Connection, queues: Sequence[str], tasks: Sequence[str], now: datetime
) -> Row[Any] | None:
    """Return the quarantined run of these queues and tasks that has waited longest."""
    wanted = {"queues": queues, "tasks": tasks, "now": now}
    return conn.execute(_NEXT, wanted).one_or_none()


def claim_quarantined(
    tx: Transaction, wanted: Mapping[str, Any], queues: Sequence[str], tasks: Sequence[str]
) -> Row[Any] | None:
    """Claim the run that `next_quarantined` returns, if its limits allow it.

    Args:
        tx: a transaction that has locked the worker's row and nothing else.
        wanted: the parameters ``claim`` and ``worker``.
        queues: the worker's queues.
        tasks: the tasks that the worker knows.
    """
    found = next_quarantined(tx.conn, queues, tasks, tx.now)
    if found is None:
        return None
    quota = limits.lock_queue(tx, found.queue)
    if quota.room is not None and quota.room <= 0:
        return None
    if found.concurrency_key is not None and not _allows(tx, found.concurrency_key):
        return None
    claim = {**wanted, "now": tx.now, "ids": [found.id]}
    rows = tx.dialect.claim(tx.conn, claim, Choice.LISTED)
    limits.spend(tx, quota, len(rows))
    return rows[0] if rows else None


def _allows(tx: Transaction, key: str) -> bool:
    most = limits.lock_keys(tx, [key])
    return key in most and limits.executing_by_key(tx.conn, [key])[key] < most[key]


_PAUSED = exists(
    select(queue.c.name).where(queue.c.name == run.c.queue, queue.c.paused_at.is_not(None))
)
_NEXT: Select[Any] = (
    select(run.c.id, run.c.queue, run.c.due_at, run.c.concurrency_key)
    .where(
        QUARANTINED,
        run.c.queue.in_(bindparam("queues", expanding=True)),
        run.c.task.in_(bindparam("tasks", expanding=True)),
        run.c.due_at <= bindparam("now", type_=Instant),
        ~exists(select(control.c.name).where(control.c.name == STOPPED)),
        ~_PAUSED,
    )
    .order_by(run.c.due_at, run.c.id)
    .limit(1)
)
