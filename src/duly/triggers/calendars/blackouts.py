"""Calendars of hours: periods from one instant to another, or the same hours every day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar, Self

from duly.clock import aware_utc
from duly.errors import TriggerError
from duly.misuse import explained
from duly.triggers.calendars.base import Calendar, ReadCalendar, start_of
from duly.triggers.json_data import check_keys, read_instant
from duly.triggers.times_of_day import format_time, read_times
from duly.triggers.wallclock.clock import instant, local

_DAY = timedelta(days=1)
_MAX_WINDOWS = 1000
_PAIRS = (
    "give pairs of aware datetimes, as in blackout((start, end), (start, end)); dates(…) excludes "
    "whole days, and closed_hours('22:00', '06:00') the same hours every day"
)


@dataclass(frozen=True, slots=True)
class Blackout(Calendar):
    """Periods between instants. Created by `blackout`.

    Attributes:
        windows: the periods as (start, end) in UTC, end excluded, sorted.
    """

    kind: ClassVar[str] = "blackout"

    windows: tuple[tuple[datetime, datetime], ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.windows) <= _MAX_WINDOWS:
            raise TriggerError(
                f"blackout() takes 1 to {_MAX_WINDOWS} windows, not {len(self.windows)}"
            )
        for start, end in self.windows:
            if end <= start:
                raise TriggerError(f"a blackout must end after it starts at {start}, not at {end}")

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        ends = (end for start, end in self.windows if start <= moment < end)
        return max(ends, default=None)

    def touches(self, day: date, zone: tzinfo) -> bool:
        """See `Calendar.touches`."""
        first, last = start_of(day, zone), start_of(day + _DAY, zone)
        return any(start < last and end > first for start, end in self.windows)

    @property
    def whole_days(self) -> bool:
        """See `Calendar.whole_days`."""
        return False

    def describe(self) -> str:
        """See `Calendar.describe`."""
        form = "%Y-%m-%d %H:%M"
        texts = [f"{start.strftime(form)} to {end.strftime(form)}" for start, end in self.windows]
        more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
        return f"{', '.join(texts[:3])} UTC{more}"

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        windows = [[start.isoformat(), end.isoformat()] for start, end in self.windows]
        return {"kind": self.kind, "windows": windows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, noun="calendar", required=("windows",))
        pairs = data["windows"]
        if not isinstance(pairs, list) or any(
            not isinstance(pair, list) or len(pair) != 2 for pair in pairs
        ):
            raise TriggerError("'windows' of calendar 'blackout' must be pairs of start and end")
        return cls(tuple((_instant("start", start), _instant("end", end)) for start, end in pairs))


@dataclass(frozen=True, slots=True)
class ClosedHours(Calendar):
    """The same hours of every day, on the trigger's wall clock. Created by `closed_hours`.

    Attributes:
        start: the first excluded second of the day.
        end: the first second of the day that is no longer excluded; before ``start`` if the hours
            span midnight.
    """

    kind: ClassVar[str] = "closed_hours"

    start: int
    end: int

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        wall = local(moment, zone)
        second = wall.hour * 3600 + wall.minute * 60 + wall.second
        spans_midnight = self.end <= self.start
        if spans_midnight and second >= self.start:
            wall += _DAY
        elif not (second < self.end and (spans_midnight or self.start <= second)):
            return None
        midnight = datetime.combine(wall.date(), time())
        end = instant(midnight + timedelta(seconds=self.end), zone)
        return max(end, moment + timedelta(microseconds=1))

    def touches(self, day: date, zone: tzinfo) -> bool:
        """See `Calendar.touches`."""
        return True

    @property
    def whole_days(self) -> bool:
        """See `Calendar.whole_days`."""
        return False

    def describe(self) -> str:
        """See `Calendar.describe`."""
        return f"{format_time(self.start)} to {format_time(self.end)}"

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        return {"kind": self.kind, "start": format_time(self.start), "end": format_time(self.end)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, noun="calendar", required=("start", "end"))
        return cls(*_hours(data["start"], data["end"]))


@explained(_PAIRS)
def blackout(*windows: tuple[datetime, datetime]) -> Blackout:
    """Create a calendar that excludes periods of time.

    Args:
        *windows: 1 to 1,000 pairs of aware datetimes, start and end; the end is excluded.

    Raises:
        NaiveDatetimeError: a datetime has no time zone.
        TriggerError: a window does not end after it starts, or their number is out of range.
    """
    return Blackout(tuple(sorted(map(_window, windows))))


@explained("write closed_hours('22:00', '06:00')")
def closed_hours(start: str | time, end: str | time) -> ClosedHours:
    """Create a calendar that excludes the same hours of every day.

    Args:
        start: the time of day on the trigger's wall clock at which the exclusion starts.
        end: the time of day at which it ends; before ``start`` if the hours span midnight, as in
            ``closed_hours("22:00", "06:00")``.

    Raises:
        TriggerError: a value is not a valid time of day, or both are equal.
    """
    return ClosedHours(*_hours(start, end))


def _window(window: Any) -> tuple[datetime, datetime]:
    is_pair = isinstance(window, list | tuple) and len(window) == 2
    if not is_pair or not all(isinstance(moment, datetime) for moment in window):
        raise TriggerError(f"blackout({window!r}) is not valid; {_PAIRS}"[:400])
    start, end = window
    return aware_utc(start, "start"), aware_utc(end, "end")


def _instant(key: str, value: object) -> datetime:
    return read_instant(Blackout.kind, key, value, noun="calendar")


def _hours(start: Any, end: Any) -> tuple[int, int]:
    first, last = read_times([start])[0], read_times([end])[0]
    if first == last:
        raise TriggerError("closed_hours() must not end at the time of day at which it starts")
    return first, last
