"""Fires every so many days, weeks, months or years of the wall calendar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.errors import TriggerError, did_you_mean
from duly.triggers.base import Due, ReadChild, Trigger, WallPart
from duly.triggers.describe import join
from duly.triggers.json_data import check_keys, read_date
from duly.triggers.occurrences import due, next_after, nominal_wall
from duly.triggers.stepped_days import SteppedDays, stepped_days
from duly.triggers.times_of_day import At, read_times, show_time
from duly.triggers.wall_clock import ANY_CLOCK, CLOCK_KEYS, WallClock, local, shared_clock
from duly.triggers.zones import zone_name

UNITS = ("days", "weeks", "months", "years")
_EPOCH_DAY = date(1970, 1, 1)
_MOST = 100_000


@dataclass(frozen=True, slots=True, repr=False)
class CalendarInterval(Trigger):
    """Every ``count`` units of the calendar, at times of day. Made by `calendar`.

    Attributes:
        unit: ``"days"``, ``"weeks"``, ``"months"`` or ``"years"``.
        count: how many of them.
        at: seconds since midnight, sorted.
        start: the first day; ``None`` until bound (then 1970-01-01, a Thursday).
        missing: for a month without such a day: ``"clamp"`` to its last day, or ``"skip"`` it.
        clock: the wall clock that is meant.
    """

    kind: ClassVar[str] = "calendar"

    unit: str
    count: int
    at: tuple[int, ...] = (0,)
    start: date | None = None
    missing: str = "clamp"
    clock: WallClock = ANY_CLOCK

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            hint = did_you_mean(str(self.unit)[:20], UNITS)
            raise TriggerError(f"unknown calendar unit {str(self.unit)[:20]!r}{hint}")
        if type(self.count) is not int or not 1 <= self.count <= _MOST:
            raise TriggerError(f"{self.unit} must be a whole number from 1 to {_MOST}")
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
        """See `Trigger.due`. Counts by arithmetic, so the limit is never reached."""
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
        """See `Trigger.bind`; takes the zone, and the anchor's day there as the first day."""
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
        text = f"{steps} at {join([show_time(second) for second in self.at])}"
        if self.start:
            text += f" from {self.start:%Y-%m-%d}"
            if self.start.day > 28 and self.unit in ("months", "years"):
                skip = self.missing == "skip"
                text += ", skipping shorter months" if skip else ", or the last day of the month"
        return text + self.clock.in_words()

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        data: dict[str, Any] = {"kind": self.kind, self.unit: self.count, **self.clock.to_json()}
        data["at"] = [show_time(second) for second in self.at]
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
        shown = [f"{self.unit}={self.count}", f"at={[show_time(second) for second in self.at]}"]
        if self.start:
            shown.append(f"start='{self.start.isoformat()}'")
        if self.missing != "clamp":
            shown.append(f"missing={self.missing!r}")
        return f"calendar({', '.join([*shown, *self.clock.arguments()])})"


def calendar(
    *,
    at: At = "00:00",
    start: date | str | None = None,
    missing: str = "clamp",
    tz: str | ZoneInfo | None = None,
    gap: str = "shift",
    fold: str = "first",
    **units: int,
) -> CalendarInterval:
    """A trigger every so many days, weeks, months or years, at wall-clock times.

    ``calendar(months=1, at="08:00", start="2026-01-31", tz="Europe/Madrid")`` fires on the last
    day of each month; with ``weeks=2`` every other Saturday, the weekday of the start.

    Args:
        at: one or more times of day, ``"HH:MM"`` or ``"HH:MM:SS"``; default midnight.
        start: the first day, a date or ``"YYYY-MM-DD"``; it fixes the weekday or the day of the
            month. Default: the day on which the job is first stored.
        missing: for a month without such a day: ``"clamp"`` (default) to its last, or ``"skip"``.
        tz: IANA zone; default: the scheduler's zone, filled in when the job is stored.
        gap: as in `cron`.
        fold: as in `cron`.
        **units: exactly one of ``days``, ``weeks``, ``months``, ``years``.

    Raises:
        TriggerError: anything of this is wrong.
    """
    unit, count = _one_unit(units)
    if isinstance(start, str):
        start = read_date("calendar", "start", start)
    elif isinstance(start, datetime) or not isinstance(start, date | None):
        raise TriggerError(f"start must be a date without a time, not {start!r}; at= takes times")
    clock = shared_clock(zone_name(tz), gap, fold)
    return CalendarInterval(unit, count, read_times(at), start, missing, clock)


def _one_unit(units: Mapping[str, Any]) -> tuple[str, int]:
    if len(units) != 1:
        raise TriggerError(f"a calendar takes exactly one of {', '.join(UNITS)}")
    return next(iter(units.items()))
