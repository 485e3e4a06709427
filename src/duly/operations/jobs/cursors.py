"""Where a job goes on when its trigger or its bounds change: its cursor, and its state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from duly.decisions.apply import decide_and_store
from duly.decisions.policy import INSTANT, first_fire, next_fire
from duly.model.job import JobState
from duly.model.policy import JobOptions
from duly.store import history, jobs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.triggers import After, Trigger


def resting(trigger: Trigger, following: datetime | None) -> JobState:
    """The state of a job that waits for its next time; one that waits for others has none."""
    return "active" if following or isinstance(trigger, After) else "finished"


def new_cursor(
    tx: Transaction, row: JobRow, trigger: Trigger, options: JobOptions
) -> dict[str, Any]:
    """Where a job goes on under a new trigger or new bounds, and the state that follows from it."""
    last = _decide_overdue(tx, row)
    if trigger.kind == "at":
        following = first_fire(trigger, options, tx.now)
        if following is not None and last is not None and following <= last:
            following = max(tx.now, last + INSTANT)  # that time has its decision: at once, then
    else:
        following = next_fire(trigger, options, max(tx.now, last) if last else tx.now)
    if options.max_fires is not None and row.fired_count >= options.max_fires:
        following = None
    state = row.state
    if state in ("active", "finished", "unresolved"):
        state = resting(trigger, following)
    return {"next_fire_at": following, "state": state, "unresolved_reason": None}


def _decide_overdue(tx: Transaction, row: JobRow) -> datetime | None:
    """Decide what fell due under the old definition; returns the last time that is decided."""
    held = row
    while held.state == "active" and held.next_fire_at and held.next_fire_at <= tx.now:
        decide_and_store(tx, [held])
        held = jobs.lock(tx, [row.id])[0]
    if held.state in _HOLDING and held.next_fire_at and held.next_fire_at <= tx.now:
        return _miss_held(tx, held)
    last: datetime | None = held.last_nominal
    return last


_HOLDING = {
    "paused": "edited while it was paused", "unresolved": "edited while it could not be read",
}  # fmt: skip


def _miss_held(tx: Transaction, row: JobRow) -> datetime:
    """Times held back under the old trigger have nothing to be caught up with any more."""
    trigger = definition_of(row).trigger
    count = 1
    first = last = row.next_fire_at or tx.now
    if trigger is not None:
        due = trigger.due(last, tx.now, keep=0, limit=1_000_000)
        count, last = count + due.count, due.last or last
    missed = {
        "job_id": row.id, "job_uid": row.uid, "first": first, "last": last,
        "count": count, "reason": _HOLDING[row.state], "decided_at": tx.now,
        "follows": None,
    }  # fmt: skip
    history.add_ranges(tx, [missed])
    return last
