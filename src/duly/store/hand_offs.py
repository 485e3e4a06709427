"""Hand-offs: runs that were given to another system, and have not started there.

Such a run stays ``ready``, and is marked as ``occupied``, so that it keeps the place in the limits
that its claim has taken, and no worker claims it. Its row in ``duly_hand_off`` tells when its
message is sent again. A hand-off ends when the run starts, or when it is changed otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from duly.hooks import HandOff
from duly.model.identity import new_id
from duly.model.policy import decode_run_policy
from duly.model.transition import RunSnapshot
from duly.model.transition import hand_off as hand_off_to
from duly.store import transitions, workers
from duly.store.control import STOPPED
from duly.store.dialect import Choice
from duly.store.sql.long_lists import among
from duly.store.tables import control, hand_off, queue, run
from duly.store.transaction import Transaction
from duly.store.transitions import Change

LONGEST_RESEND = timedelta(hours=1)
"""The longest time between two messages for one run; each wait is twice as long as the last."""


def add(
    tx: Transaction, executor: str, claimed: Sequence[RunSnapshot], resend: timedelta
) -> list[HandOff]:
    """Hand off runs that the transaction has just claimed.

    Args:
        tx: the transaction of the claim.
        executor: the name of the executor.
        claimed: the runs as they were claimed.
        resend: the time after which the first message is sent again.
    """
    if not claimed:
        return []
    change = hand_off_to(executor)
    transitions.apply(tx, [Change(each, change, {"occupied": True}) for each in claimed])
    tokens = {each.id: each.token + 1 for each in claimed}
    _delete(tx, tokens)
    rows = [
        {"run_id": each.id, "token": tokens[each.id], "executor": executor, "queue": each.queue,
         "sends": 1, "send_at": tx.now + resend}
        for each in claimed
    ]  # fmt: skip
    tx.conn.execute(insert(hand_off), rows)
    return [HandOff(each.id, tokens[each.id], each.policy.timeout) for each in claimed]


def waiting(conn: Connection, executor: str) -> dict[str, int]:
    """Return the number of runs of each queue that were handed to an executor and wait there."""
    counts = select(hand_off.c.queue, func.count()).where(hand_off.c.executor == executor)
    found = conn.execute(counts.group_by(hand_off.c.queue))
    return {name: number for name, number in found}  # noqa: C416 - rows are not pairs for mypy


def sweep(tx: Transaction, executor: str) -> None:
    """Delete the rows of runs that are no longer handed off, because they were cancelled or so."""
    current = exists(select(run.c.id).where(_IS_HANDED_OFF))
    tx.conn.execute(delete(hand_off).where(hand_off.c.executor == executor, ~current))


def take_overdue(tx: Transaction, executor: str, resend: timedelta, limit: int) -> list[HandOff]:
    """Return the hand-offs whose messages are to be sent again, and note when to do so once more.

    Args:
        tx: the transaction.
        executor: the name of the executor.
        resend: see `add`.
        limit: the maximum number of hand-offs.
    """
    overdue = (
        select(hand_off.c.run_id, hand_off.c.token, hand_off.c.sends, run.c.policy)
        .join(run, _IS_HANDED_OFF)
        .where(hand_off.c.executor == executor, hand_off.c.send_at <= tx.now)
        .order_by(hand_off.c.send_at, hand_off.c.run_id)
        .limit(limit)
    )
    rows = tx.conn.execute(tx.dialect.lock_rows(overdue, skip_locked=True)).all()
    if rows:
        sent = [
            {"of_run": row.run_id, "sent": row.sends + 1,
             "next": tx.now + min(resend * 2**min(row.sends, 30), LONGEST_RESEND)}
            for row in rows
        ]  # fmt: skip
        tx.conn.execute(_SENT, sent)
    return [HandOff(row.run_id, row.token, decode_run_policy(row.policy).timeout) for row in rows]


def withdraw(tx: Transaction, hand_offs: Sequence[HandOff]) -> None:
    """Let runs wait as before they were handed off, because their messages could not be sent."""
    for each in hand_offs:
        tx.conn.execute(_WITHDRAW, {"of_run": each.run_id, "of_token": each.token})
    _delete(tx, {each.run_id: each.token for each in hand_offs})


def start(
    tx: Transaction, worker_id: str, run_id: str, token: int, *, any_busy: bool
) -> Row[Any] | None:
    """Claim a run that was handed off for the worker that has received its message.

    If it must not start now, because its queue is paused, say, it becomes ready to be handed off
    once more.

    Args:
        tx: the transaction; nothing is locked in it.
        worker_id: the worker.
        run_id: the run, as the message names it.
        token: its token, as the message names it.
        any_busy: whether the worker executes anything, so that a quarantined run must not start.

    Returns:
        The claimed run; ``None``: nothing starts, because the message is late or doubled, the run
        must not start now, or the worker must not claim.
    """
    if not workers.lock(tx, worker_id):
        return None
    own = _STATE.where(run.c.id == run_id)
    found = tx.conn.execute(tx.dialect.lock_rows(own)).one_or_none()
    if found is None or found.state != "ready" or not found.occupied or found.token != token:
        return None
    if _must_wait(tx.conn, found.queue) or (found.quarantined and any_busy):
        withdraw(tx, [HandOff(run_id, token, None)])
        return None
    wanted = {"claim": new_id(), "worker": worker_id, "now": tx.now, "ids": [run_id]}
    rows = tx.dialect.claim(tx.conn, wanted, Choice.LISTED)
    _delete(tx, {run_id: token})
    return rows[0] if rows else None


def _must_wait(conn: Connection, name: str) -> bool:
    is_paused = queue.c.name == name, queue.c.paused_at.is_not(None)
    paused = exists(select(queue.c.name).where(*is_paused))
    stopped = exists(select(control.c.name).where(control.c.name == STOPPED))
    return bool(conn.execute(select(case((paused | stopped, 1), else_=0))).scalar())


def _delete(tx: Transaction, run_ids: Mapping[str, int]) -> None:
    tx.conn.execute(_deleted(tx.dialect.name), {"ids": sorted(run_ids)})


@cache
def _deleted(database: str) -> Any:
    return delete(hand_off).where(among(database, hand_off.c.run_id, "ids"))


_IS_HANDED_OFF: ColumnElement[bool] = and_(
    run.c.id == hand_off.c.run_id,
    run.c.token == hand_off.c.token,
    run.c.state == "ready",
    run.c.occupied,
)
_STATE = select(run.c.state, run.c.occupied, run.c.token, run.c.queue, run.c.quarantined)
_SENT = (
    update(hand_off)
    .where(hand_off.c.run_id == bindparam("of_run"))
    .values(sends=bindparam("sent"), send_at=bindparam("next"))
)
_WITHDRAW = (
    update(run)
    .where(run.c.id == bindparam("of_run"), run.c.token == bindparam("of_token"))
    .where(run.c.state == "ready", run.c.occupied)
    .values(occupied=False, reason=None)
)
