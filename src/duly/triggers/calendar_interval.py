"""The trigger that fires every n days, weeks, months or years of the calendar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self, TypedDict, Unpack
from zoneinfo import ZoneInfo

from duly.errors import TriggerError, UnknownOption, did_you_mean
from duly.foreign_names import TRIGGER_OPTIONS
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.due import Due
from duly.triggers.english import join
from duly.triggers.json_data import check_keys, read_date
from duly.triggers.times_of_day import At, format_time, read_times
from duly.triggers.wallclock.clock import (
    ANY_CLOCK,
    CLOCK_KEYS,
    Fold,
    Gap,
    WallClock,
    local,
    shared_clock,
)
from duly.triggers.wallclock.day_times import ListedTimes
from duly.triggers.wallclock.search import due, next_after, nominal_wall
from duly.triggers.wallclock.seconds import DAY, UNIX_DAY
from duly.triggers.wallclock.zones import zone_name

UNITS = ("days", "weeks", "months", "years")
_EPOCH_DAY = date(1970, 1, 1)
_MAX_COUNT = 100_000

Missing = Literal["clamp", "skip"]


class Units(TypedDict, total=False):
    """The unit of a calendar interval, of which exactly one is given."""

    days: int
    weeks: int
    months: int
    years: int


@dataclass(frozen=True, slots=True, repr=False)
class CalendarInterval(Trigger):
    """Every ``count`` units of the calendar, at times of day. Created by `calendar`.

    Attributes:
        unit: ``"days"``, ``"weeks"``, ``"months"`` or ``"years"``.
        count: the number of units from one day to the next.
        at: the times of day in seconds since midnight, sorted.
        start: the first day; ``None`` until bound, which counts as Thursday, 1970-01-01.
        missing: what to do in a month without the day of ``start``: ``"clamp"`` (default) takes its
            last day, ``"skip"`` skips the month.
        clock: the wall clock on which days and times are read.
    """

    kind: ClassVar[str] = "calendar"

    unit: str
    count: int
    at: tuple[int, ...] = (0,)
    start: date | None = None
    missing: Missing = "clamp"
    clock: WallClock = ANY_CLOCK

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            hint = did_you_mean(str(self.unit)[:20], UNITS)
            raise TriggerError(f"{str(self.unit)[:20]!r} is not a valid unit of calendar(){hint}")
        if type(self.count) is not int or not 1 <= self.count <= _MAX_COUNT:
            raise TriggerError(f"calendar({self.unit}=…) must be an integer from 1 to {_MAX_COUNT}")
        if self.missing not in ("clamp", "skip"):
            raise TriggerError(f"missing must be 'clamp' or 'skip', not {self.missing!r}")

    @property
    def _pattern(self) -> SteppedDays:
        days, months = {
            "days": (self.count, 0),
            "weeks": (self.count * 7, 0),
            "months": (0, self.count),
            "years": (0, self.count * 12),
        }[self.unit]
        skip, start = self.missing == "skip", self.start or _EPOCH_DAY
        return stepped_days(start, days=days, months=months, skip=skip, times=self.at)

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        return next_after(self._pattern, self.clock.timeline, moment)

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `Trigger.due`; counts by arithmetic, so it never reaches the limit."""
        return due(self._pattern, self.clock.timeline, after, until, keep)

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`."""
        own = zone is self.clock.zone
        return nominal_wall(self._pattern, self.clock.timeline, fire) if own else local(fire, zone)

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> CalendarInterval:
        """See `Trigger.bind`; uses the zone, and the date of the anchor in it as the first day."""
        clock, start = self.clock.bound(tz), self.start
        if start is None and anchor is not None:
            start = local(anchor, clock.zone).date()
        return replace(self, clock=clock, start=start)

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        return (WallPart(self._pattern, self.clock),)

    @property
    def tz(self) -> str | None:
        """See `Trigger.tz`."""
        return self.clock.tz

    @property
    def wall_clock(self) -> bool:
        """Always true."""
        return True

    def describe(self) -> str:
        """See `Trigger.describe`."""
        steps = f"every {self.unit[:-1]}" if self.count == 1 else f"every {self.count} {self.unit}"
        text = f"{steps} at {join([format_time(second) for second in self.at])}"
        if self.start:
            text += f" from {self.start:%Y-%m-%d}"
            if self.start.day > 28 and self.unit in ("months", "years"):
                skip = self.missing == "skip"
                text += ", skipping shorter months" if skip else ", or the last day of the month"
        return text + self.clock.in_words()

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        data: dict[str, Any] = {"kind": self.kind, self.unit: self.count, **self.clock.to_json()}
        data["at"] = [format_time(second) for second in self.at]
        if self.start:
            data["start"] = self.start.isoformat()
        if self.missing != "clamp":
            data["missing"] = self.missing
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, optional=(*UNITS, *CLOCK_KEYS, "at", "start", "missing"))
        unit, count = _one_unit({unit: data[unit] for unit in UNITS if unit in data})
        return cls(
            unit,
            count,
            read_times(data.get("at", "00:00")),
            read_date(cls.kind, "start", data["start"]) if "start" in data else None,
            data.get("missing", "clamp"),
            WallClock.from_json(data),
        )

    def __repr__(self) -> str:
        times = [format_time(second) for second in self.at]
        arguments = [f"{self.unit}={self.count}", f"at={times}"]
        if self.start:
            arguments.append(f"start='{self.start.isoformat()}'")
        if self.missing != "clamp":
            arguments.append(f"missing={self.missing!r}")
        return f"calendar({', '.join([*arguments, *self.clock.arguments()])})"


@explained("name the unit, as in calendar(months=1, at='08:00')")
def calendar(
    *,
    at: At = "00:00",
    start: date | str | None = None,
    missing: Missing = "clamp",
    tz: str | tzinfo | None = None,
    gap: Gap = "shift",
    fold: Fold = "first",
    **units: Unpack[Units],
) -> CalendarInterval:
    """Create a trigger that fires every n days, weeks, months or years at wall-clock times.

    ``calendar(months=1, at="08:00", start="2026-01-31", tz="Europe/Madrid")`` fires on the last
    day of each month; with ``weeks=2`` instead, it fires every other Saturday.

    Args:
        at: one or more times of day, each ``"HH:MM"``, ``"HH:MM:SS"`` or a `datetime.time`; default
            midnight.
        start: the first day, as a date or ``"YYYY-MM-DD"``; it determines the weekday or the day of
            the month. Default: the day on which the job is first stored.
        missing: what to do in a month without the day of ``start``: ``"clamp"`` (default) takes its
            last day, ``"skip"`` skips the month.
        tz: IANA zone, as a name or a tzinfo; default: the scheduler's zone, filled in when the job
            is stored.
        gap: what to do with a wall time that a clock change skips: ``"shift"`` (default) moves it
            forward by the length of the gap, ``"skip"`` drops it, ``"first"`` moves it to the
            first instant after the gap.
        fold: which pass of a repeated wall time fires: ``"first"`` (default), ``"last"`` or
            ``"both"``.
        **units: exactly one of ``days``, ``weeks``, ``months`` and ``years``, from 1 to 100,000.

    Raises:
        TriggerError: an argument is invalid.
    """
    for name in units:
        if name not in UNITS:
            known = (*UNITS, "at", "start", "missing", "tz", "gap", "fold")
            problem = UnknownOption(name, known, "of calendar()", TRIGGER_OPTIONS)
            raise TriggerError(str(problem))
    unit, count = _one_unit(units)
    if isinstance(start, str):
        start = read_date("calendar", "start", start)
    elif isinstance(start, datetime) or not isinstance(start, date | None):
        raise TriggerError(f"start must be a date, not {start!r}; give the time of day with at=")
    clock = shared_clock(zone_name(tz), gap, fold)
    return CalendarInterval(unit, count, read_times(at), start, missing, clock)


def _one_unit(units: Mapping[str, Any]) -> tuple[str, int]:
    if len(units) != 1:
        raise TriggerError(f"calendar() takes exactly one of {', '.join(UNITS)}")
    return next(iter(units.items()))


class SteppedDays:
    """A `duly.triggers.wallclock.search.WallPattern` of days at equal intervals.

    Args:
        start: the first day.
        days: the interval in days, or 0.
        months: the interval in months if ``days`` is 0.
        skip: whether to skip a month without the day of ``start``; otherwise its last day is taken.
        times: the times of day in seconds since midnight, sorted.
    """

    __slots__ = ("_days", "_months", "_skip", "_start", "_times")

    def __init__(
        self, start: date, *, days: int, months: int, skip: bool, times: tuple[int, ...]
    ) -> None:
        self._start = start
        self._days = days
        self._months = months
        self._skip = skip
        self._times = ListedTimes(times)

    def at_or_after(self, wall: int) -> int | None:
        """See `duly.triggers.wallclock.search.WallPattern`."""
        day, second = divmod(wall, DAY)
        found = self._day_from(self._step_from(day))
        if found is None:
            return None
        if found > day:
            return found * DAY + self._times.first
        if second <= self._times.last:
            return day * DAY + self._times.at_or_after(second)
        following = self._day_from(self._step_from(day + 1))
        return None if following is None else following * DAY + self._times.first

    def count(self, start: int, end: int) -> int:
        """See `duly.triggers.wallclock.search.WallPattern`."""
        (first_day, first), (last_day, last) = divmod(start, DAY), divmod(end, DAY)
        total = self._count_days(first_day, last_day) * len(self._times)
        if self._count_days(first_day, first_day + 1):
            total -= self._times.count_before(first)
        if self._count_days(last_day, last_day + 1):
            total += self._times.count_before(last)
        return total

    def _count_days(self, day: int, end: int) -> int:
        first, last = self._step_from(day), self._step_from(end)
        if not self._skip or self._days:
            return last - first
        return sum(self._day(step) is not None for step in range(first, last))

    def _step_from(self, day: int) -> int:
        """Return the first step whose day, if its month has it, is not before ``day``."""
        start = self._start
        if self._days:
            return max(0, -((start.toordinal() - UNIX_DAY - day) // self._days))
        when = date.fromordinal(min(max(day + UNIX_DAY, 1), date.max.toordinal()))
        months = (when.year - start.year) * 12 + when.month - start.month
        step = max(0, -(-months // self._months))
        if step * self._months == months and when.day > min(start.day, _month_length(when)):
            step += 1
        return step

    def _day_from(self, step: int) -> int | None:
        """Return the day of a step, or of the next step whose month has such a day."""
        while self._in_calendar(step):
            if (day := self._day(step)) is not None:
                return day
            step += 1
        return None

    def _day(self, step: int) -> int | None:
        start = self._start
        if self._days:
            return start.toordinal() - UNIX_DAY + step * self._days
        year, month = divmod(start.year * 12 + start.month - 1 + step * self._months, 12)
        length = _month_length(date(year, month + 1, 1))
        if start.day > length and self._skip:
            return None
        return date(year, month + 1, min(start.day, length)).toordinal() - UNIX_DAY

    def _in_calendar(self, step: int) -> bool:
        if self._days:
            return self._start.toordinal() + step * self._days <= date.max.toordinal()
        return (self._start.year * 12 + self._start.month - 1 + step * self._months) // 12 < 10_000


@lru_cache(maxsize=4096)
def stepped_days(
    start: date, *, days: int, months: int, skip: bool, times: tuple[int, ...]
) -> SteppedDays:
    """Return the pattern. Cached: equal arguments share one object."""
    return SteppedDays(start, days=days, months=months, skip=skip, times=times)


def _month_length(day: date) -> int:
    """Return the number of days in the month of a date."""
    if day.month == 12:
        return 31
    first = date(day.year, day.month, 1)
    return date(day.year, day.month + 1, 1).toordinal() - first.toordinal()
