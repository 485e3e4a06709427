"""Claiming in a queue that has limits, or runs with concurrency keys.

The order of locks is the same for everybody: the queue's row, the keys' rows sorted, then runs.
What is counted is counted after that, in a later statement; so two claimers never exceed a limit.
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
    """What a claim under limits got.

    Attributes:
        rows: the claimed runs, in claim order.
        more: whether there may be more at once.
        pause: seconds until the queue's rate allows another run.
        behind: the key behind which the next claim should look; empty: from the first.
        plain_ahead: whether the queue itself has no limits, so that plain runs may be claimed
            before there is a place for them, once all places are taken.
    """

    rows: Sequence[Row[Any]]
    more: bool
    pause: float | None
    behind: str
    plain_ahead: bool


def claim_limited(tx: Transaction, wanted: Mapping[str, Any], behind: str) -> Limited:
    """Claim ready runs of one queue, with and without keys, in claim order.

    Args:
        tx: a transaction that holds the worker's row and has locked nothing else.
        wanted: see `Choice.PLAIN`; with ``claim`` and ``worker``.
        behind: where the last claim left off among the queue's keys.
    """
    quota = limits.lock_queue(tx, wanted["claim_queue"])
    room = wanted["limit"] if quota.room is None else min(wanted["limit"], quota.room)
    unlimited = quota.room is None
    if room <= 0:
        return Limited((), False, quota.pause, behind, unlimited)
    wanted = {**wanted, "limit": room}
    firsts, last = _look(tx, wanted, behind), None
    if len(firsts) == KEYS_AT_ONCE:
        last = firsts[-1].key
    rows = _claim(tx, wanted, _keyed(tx, wanted, firsts))
    limits.spend(tx, quota, len(rows))
    pause = quota.pause if len(rows) == quota.room else None
    more, full = len(rows) == room or last is not None, len(rows) == room
    return Limited(rows, more, pause, last or "", unlimited and full)


def _look(tx: Transaction, wanted: Mapping[str, Any], behind: str) -> list[Row[Any]]:
    """The keys behind one, each with its next run; from the first again after the last."""
    firsts = list(tx.conn.execute(first_of_keys(), {**wanted, "after": behind}))
    if behind and len(firsts) < KEYS_AT_ONCE:
        head = tx.conn.execute(first_of_keys(), {**wanted, "after": ""}).all()
        firsts += head[: KEYS_AT_ONCE - len(firsts) - 1]
    return firsts


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


def _keyed(
    tx: Transaction, wanted: Mapping[str, Any], firsts: Iterable[Row[Any]]
) -> list[Row[Any]]:
    """The next runs that their keys' limits allow; their keys are locked.

    No more keys than runs are wanted: the best runs belong to the keys with the best first runs.
    """
    found = {row.key: row.id for row in firsts if row.id is not None}
    if not found:
        return []
    most, seen = limits.allowed(tx.conn, found), limits.held_by_key(tx.conn, found)
    ids = [run_id for key, run_id in found.items() if seen[key] < most[key]]
    if not ids:
        return []
    ahead: Sequence[Any] = tx.conn.execute(_WITH_KEY.where(run.c.id.in_(ids))).all()
    best = {row.concurrency_key: row for row in sorted(ahead, key=claim_order)[: wanted["limit"]]}
    most = limits.lock_keys(tx, best)
    held = limits.held_by_key(tx.conn, most)
    chosen: list[Row[Any]] = []
    for key, allowed in most.items():
        places = min(allowed - held[key], wanted["limit"])
        if places == 1 and held[key] == seen[key]:  # nobody took it while we waited for the lock
            chosen.append(best[key])
        elif places > 0:
            chosen += tx.conn.execute(runs_of_key(), {**wanted, "key": key, "limit": places})
    return chosen


_WITH_KEY = select(*ORDER, run.c.concurrency_key)
