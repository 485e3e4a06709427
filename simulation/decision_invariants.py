"""Invariants 1 and 9: each nominal time has one decision, and cursors only advance."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from duly.decisions.policy import next_fire
from duly.model.policy import JobOptions, decode_options
from duly.triggers import Trigger, decode
from simulation.audit_log import JobChange, JobColumns
from simulation.records import Records


def one_decision_each(records: Records) -> Iterator[str]:
    """(1) Each nominal time of each job has exactly one decision."""
    for uid, changes in records.job_changes.items():
        job_id = changes[0].job_id
        once = {time for c in changes if _is_one_off(c) for time in _decided_times(c)}
        recurring = {time for c in changes if not _is_one_off(c) for time in _decided_times(c)}
        times = sorted(recurring)
        decisions: Counter[datetime] = Counter(
            row.scheduled_for
            for row in records.runs.values()
            if row.job_uid == uid and row.scheduled_for is not None
        )
        for missed in records.ranges:
            if missed.job_uid != uid or missed.superseded_at is not None:
                continue
            covered = times[bisect_left(times, missed.first) : bisect_right(times, missed.last)]
            if missed.first == missed.last and missed.first in once:
                covered = [missed.first]
            decisions.update(covered)
            count = missed._mapping["count"]
            if len(covered) != count:
                yield (
                    f"(1) {job_id}: a missed range from {missed.first} to {missed.last} "
                    f"counts {count} nominal times; there are {len(covered)}"
                )
        expected_times = once | recurring
        for time in sorted(decisions.keys() | expected_times):
            expected = 1 if time in expected_times else 0
            if decisions[time] != expected:
                yield (f"(1) {job_id} at {time}: {decisions[time]} decisions, {expected} expected")


def cursors_advance(records: Records) -> Iterator[str]:
    """(9) A cursor moves past what was decided to the next nominal time, and never back."""
    for changes in records.job_changes.values():
        for change in changes:
            if change.kind == "update":
                yield from _check_cursor(change)


def _check_cursor(change: JobChange) -> Iterator[str]:
    before, after = change.before, change.after
    if _is_one_off(change) or decode(after.trigger or "").kind == "at":
        return  # a one-off in the past is due at once, whatever the job did before
    where = f"(9) {change.job_id} in step {change.step}"
    if before.last_nominal and (not after.last_nominal or after.last_nominal < before.last_nominal):
        yield f"{where}: the last nominal time went back from {before.last_nominal}"
    if after.next_fire_at and after.last_nominal and after.next_fire_at <= after.last_nominal:
        yield f"{where}: the cursor {after.next_fire_at} is not after the last decided time"
    if not _fires(change) or before.next_fire_at is None or after.last_nominal is None:
        return
    if after.last_nominal < before.next_fire_at:
        yield f"{where}: moved from {before.next_fire_at} although nothing was decided"
    trigger, options = _definition(before)
    following = next_fire(trigger, options, after.last_nominal)
    spent = options.max_fires is not None and (after.fired_count or 0) >= options.max_fires
    if after.next_fire_at != following and not (spent and after.next_fire_at is None):
        yield f"{where}: the cursor is {after.next_fire_at}; the next nominal time is {following}"


def _decided_times(change: JobChange) -> list[datetime]:
    """Return the nominal times that a change decides, by the trigger that applied until then."""
    before, after = change.before, change.after
    if change.kind != "update" or before.next_fire_at is None:
        return []
    if _fires(change):
        until = after.last_nominal
    elif before.next_fire_at != after.next_fire_at:  # an edit
        until = after.updated_at
    else:
        return []
    trigger, options = _definition(before)
    times: list[datetime] = []
    time: datetime | None = before.next_fire_at
    while time is not None and until is not None and time <= until:
        times.append(time)
        time = next_fire(trigger, options, time)
    return times


def _is_one_off(change: JobChange) -> bool:
    return change.before.trigger is not None and decode(change.before.trigger).kind == "at"


def _fires(change: JobChange) -> bool:
    return change.before.last_nominal != change.after.last_nominal


def _definition(columns: JobColumns) -> tuple[Trigger, JobOptions]:
    return decode(columns.trigger or ""), decode_options(columns.options)
