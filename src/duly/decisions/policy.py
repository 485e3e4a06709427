"""Decisions that firing and commands share: pure functions over values."""

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
Place = Literal["ready", "wait", "skip", "replace"]


@dataclass(frozen=True, slots=True)
class Missed:
    """Nominal times that will not run: how many, from when to when, and why."""

    first: datetime
    last: datetime
    count: int
    reason: str


@dataclass(slots=True)
class Decision:
    """What becomes of every nominal time of a job that has come.

    Attributes:
        run: the times that run, oldest first, each with its cause.
        missed: the times that do not.
        next_fire_at: the first time that is still to come; ``None``: there is none.
        last_nominal: the last time decided here.
    """

    run: list[tuple[datetime, Cause]] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    next_fire_at: datetime | None = None
    last_nominal: datetime | None = None


def first_fire(trigger: Trigger, options: JobOptions, now: datetime) -> datetime | None:
    """The first nominal time of a job stored at ``now``; a one-off in the past is due at once."""
    if trigger.kind == "at":
        first = trigger.next_after(datetime.min.replace(tzinfo=now.tzinfo))
        first = first and max(first, EARLIEST)
    else:
        first = trigger.next_after(now)
    if options.start is not None and (first is None or first < options.start):
        first = trigger.next_after(options.start - INSTANT)
    return _within(first, options)


def next_fire(trigger: Trigger, options: JobOptions, after: datetime) -> datetime | None:
    """The next nominal time after ``after`` inside the job's start and end."""
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
    keep: int = 10_000,
) -> Decision:
    """Decide every nominal time from ``cursor`` up to ``now``.

    Args:
        trigger: the job's bound trigger.
        options: its policy.
        cursor: the first time without a decision; not after ``now``.
        fired: how many runs its schedule has made so far.
        now: the present.
        keep: how many steps may be walked at most; what is left is decided by a later call.
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
        due = trigger.due(cursor, until, keep=most + 1, limit=max(keep, 2 * most))
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
    if not due.complete:  # more are to come: these are none of the newest, but "all" may keep some
        spared = options.catch_up.limit if mode == "all" else 0
        last = newest[-spared - 1]
        return Decision(missed=[Missed(cursor, last, total - spared, reason)], last_nominal=last)
    chosen = newest[-1:] if mode != "all" else newest[-options.catch_up.limit :]
    dropped = total - len(chosen)
    before = newest[-len(chosen) - 1] if len(newest) > len(chosen) else cursor
    swallowed = Missed(cursor, before, dropped, reason) if dropped else None
    decision = _decide(chosen, swallowed, options, now)
    decision.last_nominal = last
    return decision


def _decide(
    moments: Sequence[datetime], swallowed: Missed | None, options: JobOptions, now: datetime
) -> Decision:
    decision = Decision(missed=[swallowed] if swallowed else [])
    allowed, reason = options.allowed_lateness
    late = [] if allowed is None else [m for m in moments if now - m > allowed]
    if late:
        how = f"; {(now - late[-1]).total_seconds():.0f} s late" if len(late) == 1 else ""
        decision.missed.append(Missed(late[0], late[-1], len(late), reason + how))
    catching_up = swallowed is not None or len(moments) > 1
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


def place(options: JobOptions, cause: Cause, held: Occupancy) -> Place:
    """Where the next run of a job goes, by its overlap policy; counts it into ``held``.

    Returns:
        ``ready``: it may start; ``wait``: it starts when an earlier one is over; ``skip``: it does
        not run; ``replace``: the earlier ones are cancelled and it waits for them to end. A
        backfill never keeps the others from running: they wait for one that is on, no longer.
    """
    room = options.overlap == "allow" or held.active + held.backfill < options.max_running
    if cause == "backfill":
        room = room and not held.waiting
        held.backfill += room
        return "ready" if room else "wait"
    if options.overlap == "allow" or held.active + held.waiting < options.max_running:
        held.active, held.waiting = held.active + room, held.waiting + (not room)
        return "ready" if room else "wait"  # no room: a backfill is on, and the next turn is this
    if cause == "catch_up" and options.catch_up.mode == "all":
        where: Place = "wait"
    elif options.overlap == "cancel_running":
        where = "replace"
    elif options.overlap == "queue" and held.waiting == 0:
        where = "wait"
    else:
        return "skip"
    held.waiting += 1
    return where


def jittered(
    nominal: datetime, following: datetime | None, options: JobOptions, key: str
) -> datetime:
    """When a run with this nominal time may start: never at or past the next nominal time."""
    if not options.jitter:
        return nominal
    spread = timedelta(seconds=options.jitter)
    if following is not None:
        spread = min(spread, following - nominal - INSTANT)
    return nominal + spread * unit_hash(f"{key}@{nominal.isoformat()}")
