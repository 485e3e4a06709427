"""Invariants 1 and 9: one decision for each nominal time, none missing; cursors only advance."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from duly.decisions.policy import next_fire
from duly.model.policy import JobOptions, decode_options
from duly.triggers import Trigger, decode
from simulation.audit_log import Cursor, JobChange
from simulation.records import Evidence


def one_decision_each(found: Evidence) -> Iterator[str]:
    """(1) Each nominal time of each job has exactly one decision."""
    for uid, changes in found.changes.items():
        once = {time for change in changes if _is_once(change) for time in _nominal(change)}
        times = sorted({time for c in changes if not _is_once(c) for time in _nominal(c)})
        counts: Counter[datetime] = Counter()
        for row in found.runs.values():
            if row.job_uid == uid and row.scheduled_for is not None:
                counts[row.scheduled_for] += 1
        for held in found.ranges:
            if held.job_uid == uid and held.superseded_at is None:
                covered = times[bisect_left(times, held.first) : bisect_right(times, held.last)]
                if held.first == held.last and held.first in once:
                    covered = [held.first]
                counts.update(covered)
                count = held._mapping["count"]
                if len(covered) != count:
                    yield (
                        f"(1) {changes[0].job_id}: a missed range from {held.first} to {held.last} "
                        f"counts {count} nominal times; there are {len(covered)}"
                    )
        wanted_times = once.union(times)
        for time in sorted(counts.keys() | wanted_times):
            wanted = 1 if time in wanted_times else 0
            if counts[time] != wanted:
                yield (
                    f"(1) {changes[0].job_id} at {time}: {counts[time]} decisions, "
                    f"{wanted} expected"
                )


def cursors_advance(found: Evidence) -> Iterator[str]:
    """(9) A cursor moves past what was decided, to the next nominal time, and never back."""
    for changes in found.changes.values():
        for change in changes:
            if change.kind == "update":
                yield from _checked(change)


def _checked(change: JobChange) -> Iterator[str]:
    before, after = change.before, change.after
    if _is_once(change) or decode(after.trigger or "").kind == "at":
        return  # a one-off in the past is due at once, whatever the job did before
    what = f"(9) {change.job_id} in step {change.step}"
    if before.last_nominal and (not after.last_nominal or after.last_nominal < before.last_nominal):
        yield f"{what}: the last nominal time went back from {before.last_nominal}"
    if after.next_fire_at and after.last_nominal and after.next_fire_at <= after.last_nominal:
        yield f"{what}: the cursor {after.next_fire_at} is not after what was decided"
    if not _fires(change) or before.next_fire_at is None or after.last_nominal is None:
        return
    if after.last_nominal < before.next_fire_at:
        yield f"{what}: moved from {before.next_fire_at} although nothing was decided"
    trigger, options = _definition(before)
    following = next_fire(trigger, options, after.last_nominal)
    spent = options.max_fires is not None and (after.fired_count or 0) >= options.max_fires
    if after.next_fire_at != following and not (spent and after.next_fire_at is None):
        yield f"{what}: the cursor is {after.next_fire_at}; the next nominal time is {following}"


def _nominal(change: JobChange) -> list[datetime]:
    """The nominal times that this change decides, by the trigger that held until then."""
    before, after = change.before, change.after
    if change.kind != "update" or before.next_fire_at is None:
        return []
    if _fires(change):
        until = after.last_nominal
    elif _redefines(change):
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


def _is_once(change: JobChange) -> bool:
    return change.before.trigger is not None and decode(change.before.trigger).kind == "at"


def _fires(change: JobChange) -> bool:
    return change.before.last_nominal != change.after.last_nominal


def _redefines(change: JobChange) -> bool:
    before, after = change.before, change.after
    return before.next_fire_at != after.next_fire_at


def _definition(side: Cursor) -> tuple[Trigger, JobOptions]:
    return decode(side.trigger or ""), decode_options(side.options)
