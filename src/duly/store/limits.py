"""Limits on the runs that execute at once in the whole fleet, by concurrency key and by queue.

A claim locks the row of each limit that it is subject to, so that two claims never count the same
free slots. Run rows are counted: running ones, and ended ones whose functions still execute. A key
without a limit has a row only to be locked; it allows one run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, union_all, update

from duly.model.record import Record, record
from duly.store.tables import LIMITED, LIVE, OCCUPIED, RUNNING, limit, queue, run
from duly.store.transaction import Transaction

UNSET = 1
"""The number of runs that may execute at once with a key that has no limit of its own."""

WHOLE = 1e-6
"""The part of a token that may be missing, so that rounding during refills loses none."""


@record
class KeyLimit(Record):
    """A concurrency key and its limit.

    Attributes:
        key: the key.
        max_running: the number of its runs that may execute at once.
        running: the number of its runs that execute now.
    """

    key: str
    max_running: int
    running: int


@dataclass(frozen=True, slots=True)
class Quota:
    """The number of runs that a queue's own limits allow now, while its row is locked.

    Attributes:
        name: the queue.
        room: the number of runs that may be claimed; ``None``: any number.
        tokens: the tokens in its bucket; ``None``: the queue has no rate limit.
        pause: seconds until the bucket holds another token, if the rate is what limits the queue.
    """

    name: str
    room: int | None
    tokens: float | None = None
    pause: float | None = None


def set_key(tx: Transaction, key: str, max_running: int) -> bool:
    """Set the number of runs with a key that may execute at once; return whether it changes."""
    tx.insert_new(limit, [{"key": key, "max_running": None}])
    chosen = select(limit.c.max_running).where(limit.c.key == key)
    if tx.conn.execute(tx.dialect.lock_rows(chosen)).scalar() == max_running:
        return False
    tx.conn.execute(update(limit).where(limit.c.key == key).values(max_running=max_running))
    return True


def unset_key(tx: Transaction, key: str) -> bool:
    """Remove the limit of a key and return whether it had one."""
    was_set = (limit.c.key == key, limit.c.max_running.is_not(None))
    return tx.conn.execute(update(limit).where(*was_set).values(max_running=None)).rowcount > 0


def all_keys(conn: Connection) -> list[KeyLimit]:
    """Return all keys that have a limit, sorted by key."""
    rows = conn.execute(select(limit).where(limit.c.max_running.is_not(None)).order_by(limit.c.key))
    found = {row.key: row.max_running for row in rows}
    active = executing_by_key(conn, list(found))
    return [KeyLimit(key, most, active[key]) for key, most in found.items()]


def lock_keys(tx: Transaction, keys: Collection[str]) -> dict[str, int]:
    """Lock the limits of these keys, in order, and return the number of runs that each allows.

    A key whose row was deleted meanwhile is missing; no run with it may be claimed then.
    """
    wanted = sorted(keys)
    chosen = select(limit).where(limit.c.key.in_(wanted)).order_by(limit.c.key)
    known = {row.key for row in tx.conn.execute(chosen)}
    fresh = [key for key in wanted if key not in known]
    tx.insert_new(limit, [{"key": key, "max_running": None} for key in fresh])
    locked = tx.conn.execute(tx.dialect.lock_rows(chosen)).all()
    return {row.key: UNSET if row.max_running is None else row.max_running for row in locked}


def allowed(conn: Connection, keys: Collection[str]) -> dict[str, int]:
    """Return the limits of these keys without locking them: enough to skip a key, not to claim."""
    chosen = select(limit).where(limit.c.key.in_(list(keys)), limit.c.max_running.is_not(None))
    found = {row.key: row.max_running for row in conn.execute(chosen)}
    return {key: found.get(key, UNSET) for key in keys}


def executing_by_key(conn: Connection, keys: Collection[str]) -> dict[str, int]:
    """Count the executing runs with each key; call it after the statement that locks the keys."""
    counted = (
        select(run.c.concurrency_key, func.count())
        .where(LIMITED, run.c.concurrency_key.in_(list(keys)))
        .group_by(run.c.concurrency_key)
    )
    found = {row[0]: row[1] for row in conn.execute(counted)} if keys else {}
    return {key: found.get(key, 0) for key in keys}


def prune_keys(tx: Transaction, most: int) -> int:
    """Delete up to ``most`` rows of keys that have no limit and no unfinished run."""
    needed = select(run.c.id).where(LIVE, run.c.concurrency_key == limit.c.key).exists()
    chosen = select(limit.c.key).where(limit.c.max_running.is_(None), ~needed).limit(most)
    keys = list(tx.conn.execute(tx.dialect.lock_rows(chosen, skip_locked=True)).scalars())
    if keys:
        unset = (limit.c.key.in_(keys), limit.c.max_running.is_(None))
        tx.conn.execute(delete(limit).where(*unset))
    return len(keys)


def set_queue(
    tx: Transaction, name: str, *, max_running: int | None, rate: int | None, period: float
) -> bool:
    """Replace all limits of a queue; whether it is paused stays unchanged.

    A new rate keeps what was used of the former one, so that setting it does not fill the bucket.

    Returns:
        Whether anything changes.
    """
    tx.insert_new(queue, [{"name": name}])
    chosen = select(queue).where(queue.c.name == name)
    row = tx.conn.execute(tx.dialect.lock_rows(chosen)).one()
    wanted = (max_running, rate, None if rate is None else period)
    if (row.max_running, row.rate, row.rate_period) == wanted:
        return False
    values: dict[str, Any] = dict(zip(("max_running", "rate", "rate_period"), wanted, strict=True))
    if (row.rate, row.rate_period) != wanted[1:]:
        used = 0.0 if row.rate is None else row.rate - _tokens(row, tx.now)
        values["allowance"] = None if rate is None else max(0.0, rate - used)
        values["refilled_at"] = None if rate is None else tx.now
    tx.conn.execute(update(queue).where(queue.c.name == name).values(values))
    return True


def lock_queue(tx: Transaction, name: str) -> Quota:
    """Lock a queue's limits and return the number of runs that they allow now."""
    statement = select(queue).where(queue.c.name == name)
    row = tx.conn.execute(tx.dialect.lock_rows(statement)).one_or_none()
    return Quota(name, None) if row is None else _quota(tx.conn, row, tx.now)


def unlocked_quotas(conn: Connection, names: Collection[str], now: datetime) -> dict[str, Quota]:
    """Return the quotas of queues without locking them: enough to skip a queue, not to claim."""
    rows = conn.execute(select(queue).where(queue.c.name.in_(list(names)))).all()
    found = {row.name: _quota(conn, row, now) for row in rows}
    return {name: found.get(name) or Quota(name, None) for name in names}


def _quota(conn: Connection, row: Row[Any], now: datetime) -> Quota:
    name, room = row.name, None
    if row.max_running is not None:
        room = max(0, row.max_running - _executing_in_queue(conn, name))
    if row.rate is None:
        return Quota(name, room)
    tokens = _tokens(row, now)
    whole = int(tokens + WHOLE)
    if room is not None and room < whole:
        return Quota(name, room, tokens)
    return Quota(name, whole, tokens, (whole + 1 - tokens) * row.rate_period / row.rate)


def spend(tx: Transaction, quota: Quota, claimed: int) -> None:
    """Take the tokens of claimed runs from the bucket of a locked queue."""
    if quota.tokens is None or not claimed:
        return
    left = max(0.0, quota.tokens - claimed)
    bucket = update(queue).where(queue.c.name == quota.name)
    tx.conn.execute(bucket.values(allowance=left, refilled_at=tx.now))


def _tokens(row: Row[Any], now: datetime) -> float:
    """Return the tokens that the bucket of a locked queue with a rate limit holds now."""
    passed = max(timedelta(), now - row.refilled_at) / timedelta(seconds=row.rate_period)
    tokens: float = min(float(row.rate), row.allowance + passed * row.rate)
    return tokens


def _executing_in_queue(conn: Connection, name: str) -> int:
    running = select(run.c.id).where(RUNNING, run.c.queue == name)
    occupied = select(run.c.id).where(OCCUPIED, run.c.state != "running", run.c.queue == name)
    both = union_all(running, occupied).subquery()
    number: int = conn.execute(select(func.count()).select_from(both)).scalar_one()
    return number
