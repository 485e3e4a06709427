"""Query and claim quarantined runs, which execute with nothing beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, exists, select, tuple_

from duly.store import limits
from duly.store.control import STOPPED
from duly.store.dialect import Choice
from duly.store.sql.columns import Id, Instant
from duly.store.tables import QUARANTINED, control, queue, run
from duly.store.transaction import Transaction

AT_ONCE = 1000
"""The number of quarantined runs that one look reads; the next one continues there."""


class Look(NamedTuple):
    """The result of a look at the quarantined runs of some queues.

    Attributes:
        startable: the runs whose limits allow another run now, those that have waited longest
            first. The limits were not locked.
        last: the run after which the next look should start; ``None``: at the beginning.
    """

    startable: Sequence[Row[Any]]
    last: Row[Any] | None


def look(
    conn: Connection,
    queues: Sequence[str],
    tasks: Sequence[str],
    now: datetime,
    after: Row[Any] | None = None,
) -> Look:
    """Look for quarantined runs of these queues and tasks that could start now.

    Runs whose queue or concurrency key is used up are passed over, so that they do not keep the
    others from starting.

    Args:
        conn: a connection.
        queues: the worker's queues.
        tasks: the tasks that the worker knows.
        now: the present.
        after: the run after which to start; see `Look`.
    """
    statement = _WAITING.order_by(run.c.due_at, run.c.id).limit(AT_ONCE)
    if after is not None:
        statement = statement.where(tuple_(run.c.due_at, run.c.id) > _place(after))
    rows = conn.execute(statement, {"queues": queues, "tasks": tasks, "now": now}).all()
    if not rows:
        return Look((), None)
    quotas = limits.unlocked_quotas(conn, {row.queue for row in rows}, now)
    keys = {row.concurrency_key for row in rows if row.concurrency_key is not None}
    most, active = limits.allowed(conn, keys), limits.executing_by_key(conn, keys)
    used_up = {key for key in keys if active[key] >= most[key]}
    startable = [
        row for row in rows
        if quotas[row.queue].room != 0 and row.concurrency_key not in used_up
    ]  # fmt: skip
    return Look(startable, rows[-1] if len(rows) == AT_ONCE else None)


def claim_quarantined(
    tx: Transaction,
    wanted: Mapping[str, Any],
    queues: Sequence[str],
    tasks: Sequence[str],
    run_id: str,
) -> Row[Any] | None:
    """Claim a run that `look` returned, if it is still waiting and its limits allow it.

    Args:
        tx: a transaction that has locked the worker's permission to claim and nothing else.
        wanted: the parameters ``claim`` and ``worker``.
        queues: the worker's queues.
        tasks: the tasks that the worker knows.
        run_id: the run.
    """
    parameters = {"queues": queues, "tasks": tasks, "now": tx.now}
    found = tx.conn.execute(_WAITING.where(run.c.id == run_id), parameters).one_or_none()
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


def _place(row: Row[Any]) -> Any:
    return tuple_(bindparam(None, row.due_at, type_=Instant), bindparam(None, row.id, type_=Id))


def _allows(tx: Transaction, key: str) -> bool:
    most = limits.lock_keys(tx, [key])
    return key in most and limits.executing_by_key(tx.conn, [key])[key] < most[key]


_PAUSED = exists(
    select(queue.c.name).where(queue.c.name == run.c.queue, queue.c.paused_at.is_not(None))
)
_WAITING: Select[Any] = select(run.c.id, run.c.queue, run.c.due_at, run.c.concurrency_key).where(
    QUARANTINED,
    run.c.occupied.is_(False),
    run.c.queue.in_(bindparam("queues", expanding=True)),
    run.c.task.in_(bindparam("tasks", expanding=True)),
    run.c.due_at <= bindparam("now", type_=Instant),
    ~exists(select(control.c.name).where(control.c.name == STOPPED)),
    ~_PAUSED,
)
