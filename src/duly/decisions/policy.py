"""Decide which nominal times run, which are missed, and which runs may start: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from duly.model.checks import EARLIEST, LATEST
from duly.model.job import Occupancy
from duly.model.policy import JobOptions, unit_hash
from duly.model.run import Cause
from duly.triggers import Due, Trigger

INSTANT = timedelta(microseconds=1)
Admission = Literal["ready", "wait", "skip", "replace"]
"""What the overlap policy decides about a new run.

``ready``: it may start. ``wait``: it waits for a slot of its job. ``skip``: it does not run.
``replace``: unfinished runs are cancelled, and it waits until they have ended.
"""


@dataclass(frozen=True, slots=True)
class Missed:
    """Consecutive nominal times that do not run: their number, the first, the last, and why."""

    first: datetime
    last: datetime
    count: int
    reason: str


@dataclass(slots=True)
class Decision:
    """The decisions about all nominal times of a job that are due.

    Attributes:
        run: the times that run, oldest first, each with its cause.
        missed: the times that do not run.
        next_fire_at: the first time that is not due yet; ``None``: there is none.
        last_nominal: the last time that is decided here.
    """

    run: list[tuple[datetime, Cause]] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    next_fire_at: datetime | None = None
    last_nominal: datetime | None = None


def first_fire(trigger: Trigger, options: JobOptions, now: datetime) -> datetime | None:
    """Return the first nominal time of a job that is stored at ``now``.

    A one-off time in the past is due at once.
    """
    if trigger.kind == "at":
        first = trigger.next_after(datetime.min.replace(tzinfo=now.tzinfo))
        first = first and max(first, EARLIEST)
    else:
        first = trigger.next_after(now)
    if options.start is not None and (first is None or first < options.start):
        first = trigger.next_after(options.start - INSTANT)
    return _within(first, options)


def next_fire(trigger: Trigger, options: JobOptions, after: datetime) -> datetime | None:
    """Return the next nominal time after an instant, within the job's start and end."""
    if options.start is not None and after < options.start:
        after = options.start - INSTANT
    return _within(trigger.next_after(after), options)


def decide_due(
    trigger: Trigger,
    options: JobOptions,
    *,
    cursor: datetime,
    fired: int,
    now: datetime,
    limit: int = 10_000,
) -> Decision:
    """Decide every nominal time from ``cursor`` up to ``now``.

    Args:
        trigger: the job's trigger, with its named calendars.
        options: the job's options.
        cursor: the first time without a decision, at or before ``now``.
        fired: the number of runs that the schedule has created so far.
        now: the current instant.
        limit: the maximum number of times that are computed; a later call decides the rest.
    """
    following = next_fire(trigger, options, cursor)
    if following is None or following > now:
        allowed, _reason = options.allowed_lateness
        if options.max_fires is None and (allowed is None or now - cursor <= allowed):
            return Decision([(cursor, "schedule")], [], following, cursor)
        decision = _decide([cursor], None, options, now)
        decision.next_fire_at, decision.last_nominal = following, cursor
    else:
        until = now if options.end is None else min(now, options.end)
        most = options.catch_up.limit
        due = trigger.due(cursor, until, keep=most + 1, limit=max(limit, 2 * most))
        decision = _decide_many(cursor, due, options, now)
        decision.next_fire_at = next_fire(trigger, options, decision.last_nominal or cursor)
    _limit_fires(decision, options, fired)
    return decision


def _within(moment: datetime | None, options: JobOptions) -> datetime | None:
    if moment is None or moment >= LATEST or (options.end is not None and moment > options.end):
        return None
    return moment


def _decide_many(cursor: datetime, due: Due, options: JobOptions, now: datetime) -> Decision:
    mode, total, last = options.catch_up.mode, due.count + 1, due.last or cursor
    newest = [cursor, *due.newest] if due.count == len(due.newest) else list(due.newest)
    reason = f"catch_up={mode}" if mode != "all" else f"catch_up: over {options.catch_up.limit}"
    if not due.complete:  # more times are due, so none of these is among the newest
        kept = options.catch_up.limit if mode == "all" else 0
        last = newest[-kept - 1]
        return Decision(missed=[Missed(cursor, last, total - kept, reason)], last_nominal=last)
    chosen = newest[-1:] if mode != "all" else newest[-options.catch_up.limit :]
    dropped = total - len(chosen)
    before = newest[-len(chosen) - 1] if len(newest) > len(chosen) else cursor
    dropped_times = Missed(cursor, before, dropped, reason) if dropped else None
    decision = _decide(chosen, dropped_times, options, now)
    decision.last_nominal = last
    return decision


def _decide(
    moments: Sequence[datetime], dropped_times: Missed | None, options: JobOptions, now: datetime
) -> Decision:
    decision = Decision(missed=[dropped_times] if dropped_times else [])
    allowed, reason = options.allowed_lateness
    late = [] if allowed is None else [m for m in moments if now - m > allowed]
    if late:
        lateness = f"; {(now - late[-1]).total_seconds():.0f} s late" if len(late) == 1 else ""
        decision.missed.append(Missed(late[0], late[-1], len(late), reason + lateness))
    catching_up = dropped_times is not None or len(moments) > 1
    for moment in moments[len(late) :]:
        decision.run.append((moment, "catch_up" if catching_up else "schedule"))
    return decision


def _limit_fires(decision: Decision, options: JobOptions, fired: int) -> None:
    if options.max_fires is None:
        return
    left = max(0, options.max_fires - fired)
    for moment, _cause in decision.run[left:]:
        decision.missed.append(Missed(moment, moment, 1, f"max_fires is {options.max_fires}"))
    decision.run = decision.run[:left]
    if len(decision.run) >= left:
        decision.next_fire_at = None


def admit(options: JobOptions, cause: Cause, occupancy: Occupancy) -> Admission:
    """Decide by a job's overlap policy whether its next run may start, and count that run.

    A backfill does not delay other runs, except for those that find its own run executing.

    Args:
        options: the job's options.
        cause: why the run is created.
        occupancy: the job's unfinished runs; the new run is added.
    """
    has_slot = (
        options.overlap == "allow" or occupancy.active + occupancy.backfill < options.max_running
    )
    if cause == "backfill":
        has_slot = has_slot and not occupancy.waiting
        occupancy.backfill += has_slot
        return "ready" if has_slot else "wait"
    if options.overlap == "allow" or occupancy.active + occupancy.waiting < options.max_running:
        occupancy.active += has_slot
        occupancy.waiting += not has_slot  # a backfill holds the slot; this run gets it next
        return "ready" if has_slot else "wait"
    if cause == "catch_up" and options.catch_up.mode == "all":
        admission: Admission = "wait"
    elif options.overlap == "cancel_running":
        admission = "replace"
    elif options.overlap == "queue" and occupancy.waiting == 0:
        admission = "wait"
    else:
        return "skip"
    occupancy.waiting += 1
    return admission


def jittered(
    nominal: datetime, following: datetime | None, options: JobOptions, key: str
) -> datetime:
    """Return when a run may start: its nominal time plus jitter, before the next nominal time.

    Args:
        nominal: the run's nominal time.
        following: the next nominal time, if there is one.
        options: the job's options.
        key: the job's uid; the same key and time give the same jitter.
    """
    if not options.jitter:
        return nominal
    spread = timedelta(seconds=options.jitter)
    if following is not None:
        spread = min(spread, following - nominal - INSTANT)
    return nominal + spread * unit_hash(f"{key}@{nominal.isoformat()}")
