"""The cursor and the state of a job after its trigger or its bounds have changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from duly.decisions.apply import decide_and_store
from duly.decisions.policy import INSTANT, first_fire, next_fire
from duly.model.job import JobState
from duly.model.policy import JobOptions
from duly.operations.core import Core
from duly.store import history, jobs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.triggers import After, Trigger
from duly.worker.adaptive_batch import AdaptiveBatch

JOBS_AT_ONCE = 500
"""The maximum number of jobs whose due times one transaction decides."""

MOST_COUNTED = 1_000_000
"""The number of missed times of one job at which counting stops."""

MOST_REMEMBERED = 1000
"""The number of jobs whose missed times are remembered until they are recorded."""


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


def catch_up(core: Core, job_ids: Collection[str]) -> None:
    """Decide what fell due for jobs that are about to be changed, in short transactions.

    The change itself decides the rest; without this, it would decide a month of missed times in one
    transaction (engine rule 15). For jobs that do not fire, the times are only counted here, and
    recorded as missed by the change.
    """
    now = core.store.time.now()
    with core.store.read() as conn:
        overdue = jobs.overdue(conn, job_ids, now)
    for row in overdue:
        if row.state in _MISSED_REASONS and row.next_fire_at:
            _count_overdue(row, row.next_fire_at, now)
    waiting = [row.id for row in overdue if row.state == "active"]
    if waiting:
        core.refuse_deadlock()
    batch = AdaptiveBatch(core.store, JOBS_AT_ONCE)
    while waiting:
        chosen, waiting = waiting[: batch.size], waiting[batch.size :]
        waiting += core.store.run(partial(_decide_batch, chosen=chosen, batch=batch, core=core))


def _decide_batch(
    tx: Transaction, chosen: Sequence[str], batch: AdaptiveBatch, core: Core
) -> list[str]:
    """Decide some of the due times of jobs; return the jobs that have more of them."""
    began = core.clock.monotonic()
    rows = [row for row in jobs.lock(tx, chosen) if _is_overdue(row, tx.now)]
    if rows:
        decide_and_store(tx, rows)
    batch.record(len(chosen), core.clock.monotonic() - began)
    return [row.id for row in jobs.overdue(tx.conn, chosen, tx.now) if row.state == "active"]


def _is_overdue(row: JobRow, now: datetime) -> bool:
    return bool(row.state == "active" and row.next_fire_at and row.next_fire_at <= now)


def decide_due(tx: Transaction, row: JobRow) -> JobRow:
    """Decide every time of a locked job that is due, if it is active; return its row afterwards."""
    while _is_overdue(row, tx.now):
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
    first = row.next_fire_at or tx.now
    count, last = _count_overdue(row, first, tx.now)
    missed = {
        "job_id": row.id, "job_uid": row.uid, "first": first, "last": last,
        "count": count, "reason": _MISSED_REASONS[row.state], "decided_at": tx.now,
        "follows": None,
    }  # fmt: skip
    history.add_ranges(tx, [missed])
    return last


def _count_overdue(row: JobRow, first: datetime, now: datetime) -> tuple[int, datetime]:
    """Return the number of times from ``first`` up to now, and the last of them.

    The result is remembered, so that a later call counts only what has fallen due since.
    """
    trigger, key = definition_of(row).trigger, (row.trigger, first)
    count, last = _counted.get(key, (1, first))
    if last > now:  # of another scheduler, whose clock is ahead
        count, last = 1, first
    if trigger is not None:
        due = trigger.due(last, now, keep=0, limit=MOST_COUNTED)
        count, last = count + due.count, due.last or last
    while len(_counted) >= MOST_REMEMBERED:
        _counted.pop(next(iter(_counted)), None)
    _counted[key] = count, last
    return count, last


_counted: dict[tuple[str, datetime], tuple[int, datetime]] = {}
