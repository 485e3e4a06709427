"""Stretches of time that are left out: from one instant to another, or the same hours every day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar, Self

from duly.clock import aware_utc
from duly.errors import TriggerError
from duly.triggers.calendars.base import Calendar, ReadCalendar, start_of
from duly.triggers.json_data import check_keys, read_instant
from duly.triggers.times_of_day import read_times, show_time
from duly.triggers.wallclock.clock import instant, local

_DAY = timedelta(days=1)
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Blackout(Calendar):
    """Stretches between instants. Made by `blackout`.

    Attributes:
        windows: (start, end) in UTC, end excluded, sorted.
    """

    kind: ClassVar[str] = "blackout"

    windows: tuple[tuple[datetime, datetime], ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.windows) <= _MOST:
            raise TriggerError(f"blackout(…) takes 1 to {_MOST} windows")
        for start, end in self.windows:
            if end <= start:
                raise TriggerError(f"a blackout must end after it starts, not at {end} ({start})")

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
        shown = [f"{start.strftime(form)} to {end.strftime(form)}" for start, end in self.windows]
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        return f"{', '.join(shown[:3])} UTC{more}"

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        windows = [[start.isoformat(), end.isoformat()] for start, end in self.windows]
        return {"kind": self.kind, "windows": windows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, required=("windows",))
        pairs = data["windows"]
        if not isinstance(pairs, list) or any(
            not isinstance(pair, list) or len(pair) != 2 for pair in pairs
        ):
            raise TriggerError("windows of calendar 'blackout' must be pairs of start and end")
        return cls(
            tuple(
                (read_instant(cls.kind, "start", start), read_instant(cls.kind, "end", end))
                for start, end in pairs
            )
        )


@dataclass(frozen=True, slots=True)
class ClosedHours(Calendar):
    """The same hours of every day, on the trigger's wall clock. Made by `closed_hours`.

    Attributes:
        start: second of the day.
        end: second of the day, excluded; not after ``start`` when the hours run over midnight.
    """

    kind: ClassVar[str] = "closed_hours"

    start: int
    end: int

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        wall = local(moment, zone)
        second = wall.hour * 3600 + wall.minute * 60 + wall.second
        over_midnight = self.end <= self.start
        if over_midnight and second >= self.start:
            wall += _DAY
        elif not (second < self.end and (over_midnight or self.start <= second)):
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
        return f"{show_time(self.start)} to {show_time(self.end)}"

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        return {"kind": self.kind, "start": show_time(self.start), "end": show_time(self.end)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, required=("start", "end"))
        return cls(*_hours(data["start"], data["end"]))


def blackout(*windows: tuple[datetime, datetime]) -> Blackout:
    """A calendar of stretches during which nothing fires.

    Args:
        *windows: pairs of aware datetimes; the end is excluded.

    Raises:
        NaiveDatetimeError: one has no time zone.
        TriggerError: a window ends before it starts, or there is none.
    """
    pairs = ((aware_utc(start, "start"), aware_utc(end, "end")) for start, end in windows)
    return Blackout(tuple(sorted(pairs)))


def closed_hours(start: str | time, end: str | time) -> ClosedHours:
    """A calendar of the same hours of every day, such as ``closed_hours("22:00", "06:00")``.

    Args:
        start: time of day on the trigger's wall clock.
        end: the same, excluded; before ``start`` when the hours run over midnight.

    Raises:
        TriggerError: no times of day, or both the same.
    """
    return ClosedHours(*_hours(start, end))


def _hours(start: Any, end: Any) -> tuple[int, int]:
    first, last = read_times([start])[0], read_times([end])[0]
    if first == last:
        raise TriggerError("closed hours must end at another time than they start")
    return first, last
