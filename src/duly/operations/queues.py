"""Setting and removing limits by hand."""

from __future__ import annotations

from duly.store import control, limits
from duly.store.transaction import Transaction


def set_limit(tx: Transaction, key: str, max_running: int) -> None:
    """Say how many runs with a concurrency key may run at once; 0: none."""
    limits.set_key(tx, key, max_running)
    tx.record("limit.changed", key=key, max_running=max_running)


def remove_limit(tx: Transaction, key: str) -> bool:
    """Forget that: one at a time again. Says whether there was anything to forget."""
    was_set = limits.unset_key(tx, key)
    if was_set:
        tx.record("limit.removed", key=key)
    return was_set


def set_queue(
    tx: Transaction, name: str, *, max_running: int | None, rate: int | None, period: float
) -> None:
    """Say what a queue allows over all workers; ``None``: any number."""
    limits.set_queue(tx, name, max_running=max_running, rate=rate, period=period)
    control.forget_open(tx, name)
    per = None if rate is None else period
    tx.record("queue.changed", queue=name, max_running=max_running, rate=rate, per=per)
