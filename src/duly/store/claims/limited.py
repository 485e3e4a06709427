"""Claim in a queue that has limits, or runs with concurrency keys.

All claims lock in the same order: the queue's row, the rows of the keys, sorted, then the runs.
Executing runs are counted in a statement after the locks, so that two claims together never exceed
a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from duly.store import limits
from duly.store.claims.query import (
    KEYS_AT_ONCE,
    ORDER,
    claim_order,
    first_of_keys,
    plain_runs,
    runs_of_key,
)
from duly.store.dialect import Choice
from duly.store.tables import run
from duly.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Limited:
    """The result of a claim under limits.

    Attributes:
        rows: the claimed runs, in claim order.
        more: whether another claim at once may find more runs.
        pause: seconds until the queue's rate allows another run.
        last_key: the key after which the next claim should start; empty: at the first one.
        can_prefetch: whether runs without a key may be prefetched, because all slots are taken and
            the queue itself has no limits.
    """

    rows: Sequence[Row[Any]]
    more: bool
    pause: float | None
    last_key: str
    can_prefetch: bool


def claim_limited(tx: Transaction, wanted: Mapping[str, Any], last_key: str) -> Limited:
    """Claim ready runs of one queue, with and without keys, in claim order.

    Args:
        tx: a transaction that has locked the worker's row and nothing else.
        wanted: the parameters of `Choice.PLAIN`, and ``claim`` and ``worker``.
        last_key: the key after which to start; see `Limited`.
    """
    quota = limits.lock_queue(tx, wanted["claim_queue"])
    room = wanted["limit"] if quota.room is None else min(wanted["limit"], quota.room)
    unlimited = quota.room is None
    if room <= 0:
        return Limited((), False, quota.pause, last_key, unlimited)
    wanted = {**wanted, "limit": room}
    keys = _next_keys(tx, wanted, last_key)
    reached = keys[-1].key if len(keys) == KEYS_AT_ONCE else ""
    rows = _claim(tx, wanted, _keyed(tx, wanted, keys))
    limits.spend(tx, quota, len(rows))
    pause = quota.pause if len(rows) == quota.room else None
    full = len(rows) == room
    return Limited(rows, full or bool(reached), pause, reached, unlimited and full)


def _next_keys(tx: Transaction, wanted: Mapping[str, Any], last_key: str) -> list[Row[Any]]:
    """Return the keys after ``last_key`` with their next runs, starting over after the last key."""
    keys = list(tx.conn.execute(first_of_keys(), {**wanted, "after": last_key}))
    if last_key and len(keys) < KEYS_AT_ONCE:
        head = tx.conn.execute(first_of_keys(), {**wanted, "after": ""}).all()
        keys += head[: KEYS_AT_ONCE - len(keys) - 1]
    return keys


def _claim(
    tx: Transaction, wanted: Mapping[str, Any], keyed: Sequence[Row[Any]]
) -> Sequence[Row[Any]]:
    if not keyed:
        return tx.dialect.claim(tx.conn, wanted)
    plain = tx.conn.execute(tx.dialect.lock_rows(plain_runs(), skip_locked=True), wanted).all()
    chosen = sorted([*plain, *keyed], key=claim_order)[: wanted["limit"]]
    listed = {name: wanted[name] for name in ("claim", "worker", "now")}
    listed["ids"] = [row.id for row in chosen]
    return tx.dialect.claim(tx.conn, listed, Choice.LISTED)


def _keyed(tx: Transaction, wanted: Mapping[str, Any], keys: Iterable[Row[Any]]) -> list[Row[Any]]:
    """Lock the keys and return the next runs that their limits allow.

    No more keys than wanted runs are locked, because the most urgent runs belong to the keys with
    the most urgent first runs.
    """
    found = {row.key: row.id for row in keys if row.id is not None}
    if not found:
        return []
    most, before = limits.allowed(tx.conn, found), limits.executing_by_key(tx.conn, found)
    ids = [run_id for key, run_id in found.items() if before[key] < most[key]]
    if not ids:
        return []
    first_runs: Sequence[Any] = tx.conn.execute(_WITH_KEY.where(run.c.id.in_(ids))).all()
    urgent = sorted(first_runs, key=claim_order)[: wanted["limit"]]
    best = {row.concurrency_key: row for row in urgent}
    most = limits.lock_keys(tx, best)
    active = limits.executing_by_key(tx.conn, most)
    chosen: list[Row[Any]] = []
    for key, allowed in most.items():
        free = min(allowed - active[key], wanted["limit"])
        if free == 1 and active[key] == before[key]:  # nothing was claimed during the wait
            chosen.append(best[key])
        elif free > 0:
            chosen += tx.conn.execute(runs_of_key(), {**wanted, "key": key, "limit": free})
    return chosen


_WITH_KEY = select(*ORDER, run.c.concurrency_key)
