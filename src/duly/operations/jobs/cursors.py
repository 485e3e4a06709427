"""The cursor and the state of a job after its trigger or its bounds have changed."""

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


def active_or_finished(trigger: Trigger, following: datetime | None) -> JobState:
    """Return the state of a job by its next nominal time; a job that runs after others has none."""
    return "active" if following or isinstance(trigger, After) else "finished"


def new_cursor(
    tx: Transaction, row: JobRow, trigger: Trigger, options: JobOptions
) -> dict[str, Any]:
    """Return the columns that continue a job under a new trigger or new bounds."""
    last = _decide_overdue(tx, row)
    if trigger.kind == "at":
        following = first_fire(trigger, options, tx.now)
        if following is not None and last is not None and following <= last:
            following = max(tx.now, last + INSTANT)  # that time is decided already: fire at once
    else:
        following = next_fire(trigger, options, max(tx.now, last) if last else tx.now)
    if options.max_fires is not None and row.fired_count >= options.max_fires:
        following = None
    state = row.state
    if state in ("active", "finished", "unresolved"):
        state = active_or_finished(trigger, following)
    return {"next_fire_at": following, "state": state, "unresolved_reason": None}


def decide_due(tx: Transaction, row: JobRow) -> JobRow:
    """Decide every time of a locked job that is due, if it is active; return its row afterwards."""
    while row.state == "active" and row.next_fire_at and row.next_fire_at <= tx.now:
        decide_and_store(tx, [row])
        row = jobs.lock(tx, [row.id])[0]
    return row


def _decide_overdue(tx: Transaction, row: JobRow) -> datetime | None:
    """Decide what fell due under the old definition; return the last time that is decided."""
    row = decide_due(tx, row)
    if row.state in _MISSED_REASONS and row.next_fire_at and row.next_fire_at <= tx.now:
        return _miss_overdue(tx, row)
    return row.last_nominal


_MISSED_REASONS = {
    "paused": "edited while it was paused", "unresolved": "edited while it could not be read",
}  # fmt: skip


def _miss_overdue(tx: Transaction, row: JobRow) -> datetime:
    """Record the overdue times of a job that does not fire as missed; return the last of them."""
    trigger = definition_of(row).trigger
    count = 1
    first = last = row.next_fire_at or tx.now
    if trigger is not None:
        due = trigger.due(last, tx.now, keep=0, limit=1_000_000)
        count, last = count + due.count, due.last or last
    missed = {
        "job_id": row.id, "job_uid": row.uid, "first": first, "last": last,
        "count": count, "reason": _MISSED_REASONS[row.state], "decided_at": tx.now,
        "follows": None,
    }  # fmt: skip
    history.add_ranges(tx, [missed])
    return last
