"""A month of a job: how its runs ended on the past days, and how often it fires on the coming ones.

Days are those of the job's time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from duly.errors import TriggerError
from duly.model.job import JobRecord
from duly.operations.jobs.find import MissedRange
from duly.operations.run_counts import RunCounts
from duly.triggers import Excluding, Trigger, explain
from duly.triggers.calendars.base import start_of
from duly.triggers.wallclock.changes import ClockChange, clock_changes
from duly.web.dashboard import formatting

FIRST, LAST = 1990, 2199
"""The years that can be shown."""

MAX_FIRES = 100
"""The number at which the fires of a day stop being counted, unless they can be calculated."""

_MARKED = 60
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WORST_FIRST = (
    "failed", "missed", "discarded", "skipped", "cancelled", "running", "ready", "scheduled",
    "succeeded",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """What is special about a day.

    Attributes:
        kind: ``clock``: the clock changes; ``excluded``: a calendar excludes times of the job.
        text: the same in words.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the month.

    Attributes:
        day: the date.
        since: its first instant.
        until: the first instant of the next day.
        states: the number of its runs by state, the worst first.
        more: whether it has more runs than were counted.
        missed: the number of its nominal times that did not run and have no run of their own.
        fires: the number of its coming nominal times.
        many: whether there are more than were counted.
        first: the first of them.
        marks: what is special about it.
    """

    day: date
    since: datetime
    until: datetime
    states: tuple[tuple[str, int], ...] = ()
    more: bool = False
    missed: int = 0
    fires: int = 0
    many: bool = False
    first: datetime | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def runs(self) -> int:
        """The number of its runs that were counted."""
        return sum(number for _state, number in self.states)

    @property
    def tone(self) -> str:
        """The state by which it is coloured, or an empty text.

        A single failed or missed run colours the day; others only if none succeeded.
        """
        found = dict(self.states)
        if "failed" in found:
            return "failed"
        if self.missed or "missed" in found:
            return "missed"
        return "succeeded" if "succeeded" in found else next(iter(found), "")

    @property
    def shares(self) -> list[tuple[str, int, int]]:
        """The states with the start and the length of their parts of a bar of 100 units."""
        parts = self.states if not self.missed else (*self.states, ("missed", self.missed))
        total, start, found = sum(number for _state, number in parts), 0.0, []
        for state, number in parts:
            length = 100 * number / total
            found.append((state, round(start), max(4, round(length))))
            start += length
        return found

    def in_words(self, zone: ZoneInfo) -> str:
        """Return all that is known about the day in one sentence."""
        parts = []
        if self.states:
            states = ", ".join(f"{number:,} {state}" for state, number in self.states)
            newest = "the newest of more runs" if self.more else formatting.count(self.runs, "run")
            parts.append(f"{newest}: {states}")
        if self.missed:
            parts.append(f"{formatting.count(self.missed, 'nominal time')} did not run")
        if self.fires:
            times = "more than " * self.many + formatting.count(self.fires, "time")
            at = formatting.clock(self.first.astimezone(zone)) if self.first else ""
            parts.append(f"fires at {at}" if self.fires == 1 else f"fires {times}, first at {at}")
        parts += [mark.text for mark in self.marks]
        return "; ".join(parts) or "nothing"


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a job.

    Attributes:
        first: its first day.
        weeks: its weeks from Monday to Sunday; ``None`` are days of other months.
        today: the present day.
        problem: why its coming fires are not known, if they are not.
    """

    first: date
    weeks: tuple[tuple[Day | None, ...], ...]
    today: date
    problem: str = ""
    days: tuple[Day, ...] = field(default=(), repr=False)

    @property
    def previous(self) -> str | None:
        """The month before, as in the URL; ``None`` if it cannot be shown."""
        before = self.first - _DAY
        return f"{before:%Y-%m}" if before.year >= FIRST else None

    @property
    def next(self) -> str | None:
        """The month after, as in the URL; ``None`` if it cannot be shown."""
        after = self.first + timedelta(days=31)
        return f"{after:%Y-%m}" if after.year <= LAST else None


def days_of(month: str, zone: ZoneInfo) -> list[Day]:
    """Return the days of a month, such as ``2026-11``, without what happens on them."""
    first = date.fromisoformat(f"{month}-01")
    dates = [first + timedelta(days=number) for number in range(32)]
    inner = [day for day in dates if day.month == first.month]
    starts = [start_of(day, zone) for day in (*inner, inner[-1] + _DAY)]
    return [
        Day(day, since, until) for day, (since, until) in zip(inner, pairwise(starts), strict=True)
    ]


def month_of(days: Sequence[Day], now: datetime, zone: ZoneInfo, problem: str = "") -> Month:
    """Arrange days in weeks."""
    first = days[0].day
    cells: list[Day | None] = [*[None] * first.weekday(), *days]
    cells += [None] * (-len(cells) % 7)
    weeks = tuple(tuple(cells[at : at + 7]) for at in range(0, len(cells), 7))
    return Month(first, weeks, now.astimezone(zone).date(), problem, tuple(days))


def with_history(
    days: Iterable[Day], counts: Sequence[RunCounts], ranges: Sequence[MissedRange], job: JobRecord
) -> Iterator[Day]:
    """Yield the days with their runs, and with their times that did not run.

    Args:
        days: the days.
        counts: the runs of the first of these days.
        ranges: ranges of nominal times that did not run.
        job: the job.
    """
    by_start = {count.since: count for count in counts}
    for day in days:
        count = by_start.get(day.since)
        states = count.states if count else {}
        ordered = sorted(states.items(), key=lambda item: _WORST_FIRST.index(item[0]))
        missed = sum(_missed_on(day, each, job.trigger) for each in ranges)
        yield replace(day, states=tuple(ordered), more=bool(count and count.more), missed=missed)


def with_fires(days: Iterable[Day], job: JobRecord, now: datetime) -> Iterator[Day]:
    """Yield the days with the coming nominal times of a job.

    Raises:
        TriggerError: the search for a time reached its limit.
    """
    trigger, first = job.trigger, job.next_fire_at
    if trigger is None or first is None or job.state == "finished":
        yield from days
        return
    options = job.options
    begin, left = max(first, now) - _TICK, None
    for number, day in enumerate(days):
        if options.max_fires is not None and number == 0:
            before = trigger.due(begin, max(begin, day.since - _TICK), keep=0).count
            left = options.max_fires - job.fired_count - before
        end = day.until - _TICK if options.end is None else min(day.until - _TICK, options.end)
        start = max(begin, day.since - _TICK)
        if start >= end or (left is not None and left <= 0):
            yield day
            continue
        due = trigger.due(start, end, keep=0, limit=MAX_FIRES)
        fires = due.count if left is None else min(due.count, left)
        left = None if left is None else left - fires
        yield replace(day, fires=fires, many=not due.complete, first=due.first if fires else None)


def with_marks(days: Iterable[Day], trigger: Trigger | None, zone: ZoneInfo) -> Iterator[Day]:
    """Yield the days with what is special about them.

    Raises:
        TriggerError: the search for a time reached its limit.
    """
    listed = list(days)
    first, last = listed[0].since, listed[-1].until
    changes = clock_changes(zone.key, int(first.timestamp()), int(last.timestamp()))
    for day in listed:
        marks = [
            _clock_mark(change, day, trigger, zone)
            for change in changes
            if day.since.timestamp() <= change.at < day.until.timestamp()
        ]
        if isinstance(trigger, Excluding):
            marks += _exclusions(day, trigger)
        yield replace(day, marks=tuple(marks)) if marks else day


def _missed_on(day: Day, missed: MissedRange, trigger: Trigger | None) -> int:
    if missed.last < day.since or missed.first >= day.until:
        return 0
    if missed.first >= day.since and missed.last < day.until:
        return missed.count
    if trigger is None:
        return 1
    start, end = max(missed.first, day.since), min(missed.last, day.until - _TICK)
    try:
        due = trigger.due(start - _TICK, end, keep=0, limit=MAX_FIRES)
    except TriggerError:
        return 1
    return min(due.count, missed.count)


def _clock_mark(change: ClockChange, day: Day, trigger: Trigger | None, zone: ZoneInfo) -> Mark:
    """Return the mark of a change of the clock, with the times of the trigger that it affects."""
    before = datetime.fromtimestamp(change.at + change.before, UTC)
    after = datetime.fromtimestamp(change.at + change.after, UTC)
    way = "forward" if after > before else "back"
    text = f"clocks go {way} from {formatting.clock(before)} to {formatting.clock(after)}"
    if trigger is not None and trigger.wall_clock:
        fires = explain(trigger, day.since - _TICK, _MARKED, tz=zone).fires
        notes = [
            fire.note.partition(": ")[2] or fire.note
            for fire in fires
            if fire.instant < day.until and {"gap", "fold"} & set(fire.marks)
        ]
        if notes:
            text += f" ({notes[0]}{', and more' * (len(notes) > 1)})"
    return Mark("clock", text)


def _exclusions(day: Day, trigger: Excluding) -> Iterator[Mark]:
    """Yield the mark of a day on which a calendar excludes times of the trigger."""
    if not trigger.calendar.touches(day.day, trigger.zone):
        return
    start, end = day.since - _TICK, day.until - _TICK
    inner = trigger.trigger.due(start, end, keep=0, limit=MAX_FIRES)
    if inner.first is None or inner.last is None:
        return
    target = trigger.target(inner.first)
    if target == inner.first and trigger.target(inner.last) == inner.last:
        return
    if target is not None and target != inner.first:
        moved = target.astimezone(trigger.zone)
        yield Mark("excluded", f"moved to {moved:%a} {moved.day} {moved:%b} ({trigger.calendar})")
    else:
        yield Mark("excluded", f"excluded by {trigger.calendar}")
