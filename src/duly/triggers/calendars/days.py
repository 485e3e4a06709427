"""Calendars of whole days: weekends and lists of dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Self

from duly.errors import TriggerError
from duly.misuse import explained
from duly.triggers.calendars.base import DayCalendar, ReadCalendar
from duly.triggers.json_data import check_keys, read_date

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MAX_DATES = 10_000


@dataclass(frozen=True, slots=True)
class Weekends(DayCalendar):
    """The weekly rest days. Created by `weekends`.

    Attributes:
        days: the weekdays, Monday = 0, sorted.
    """

    kind: ClassVar[str] = "weekends"

    days: tuple[int, ...] = (5, 6)

    def covers(self, day: date) -> bool:
        """See `DayCalendar.covers`."""
        return day.weekday() in self.days

    def rest_days(self) -> frozenset[int]:
        """See `Calendar.rest_days`."""
        return frozenset(self.days)

    def describe(self) -> str:
        """See `Calendar.describe`."""
        if self.days == (5, 6):
            return "weekends"
        return ", ".join(DAY_NAMES[day].capitalize() for day in self.days)

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        return {"kind": self.kind, "days": [DAY_NAMES[day] for day in self.days]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, noun="calendar", optional=("days",))
        return cls(_weekdays(data.get("days", ["sat", "sun"])))


@dataclass(frozen=True, slots=True)
class Dates(DayCalendar):
    """A list of dates. Created by `dates`.

    Attributes:
        days: the single dates, sorted.
        yearly: the (month, day) of dates in every year, sorted.
    """

    kind: ClassVar[str] = "dates"

    days: tuple[date, ...]
    yearly: tuple[tuple[int, int], ...] = ()

    def covers(self, day: date) -> bool:
        """See `DayCalendar.covers`."""
        return day in self.days or (day.month, day.day) in self.yearly

    def describe(self) -> str:
        """See `Calendar.describe`."""
        texts = self._texts()
        more = f" and {len(texts) - 5} more days" if len(texts) > 6 else ""
        return ", ".join(texts[:5] if more else texts) + more

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        return {"kind": self.kind, "days": self._texts()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, noun="calendar", required=("days",))
        if not isinstance(data["days"], list):
            raise TriggerError("'days' of calendar 'dates' must be a list")
        return cls(*_days(data["days"]))

    def _texts(self) -> list[str]:
        single = [day.isoformat() for day in self.days]
        return single + [f"{month:02}-{day:02}" for month, day in self.yearly]


@explained("write weekends(), or weekends('fri', 'sat')")
def weekends(*days: str) -> Weekends:
    """Create a calendar that excludes weekends.

    Args:
        *days: the names of the weekdays, such as ``"fri", "sat"``; default Saturday and Sunday.

    Raises:
        TriggerError: a name is not a valid weekday, or all seven weekdays are given.
    """
    return Weekends(_weekdays(days or ("sat", "sun")))


@explained("write dates('2026-12-24', '12-25')")
def dates(*days: date | str) -> Dates:
    """Create a calendar that excludes dates.

    Args:
        *days: 1 to 10,000 dates, each a `datetime.date`, ``"2026-12-24"``, or ``"12-24"`` for that
            day in every year.

    Raises:
        TriggerError: a value is not a valid date, or their number is out of range.
    """
    return Dates(*_days(days))


def _weekdays(names: Any) -> tuple[int, ...]:
    weekdays = set()
    for name in names if isinstance(names, list | tuple) else [names]:
        short = name[:3].lower() if isinstance(name, str) else ""
        if short not in DAY_NAMES:
            raise TriggerError(
                f"{str(name)[:20]!r} is not a valid weekday; write it as 'sat' or 'sun'"
            )
        weekdays.add(DAY_NAMES.index(short))
    if len(weekdays) == 7:
        raise TriggerError("weekends() must leave at least one weekday")
    return tuple(sorted(weekdays))


def _days(days: Any) -> tuple[tuple[date, ...], tuple[tuple[int, int], ...]]:
    single, yearly = set(), set()
    if not 0 < len(days) <= _MAX_DATES:
        raise TriggerError(f"dates() takes 1 to {_MAX_DATES} dates, not {len(days)}")
    for day in days:
        if isinstance(day, date) and not isinstance(day, datetime):
            single.add(day)
        elif isinstance(day, str) and len(day) == 5:
            yearly.add(_month_and_day(day))
        else:
            single.add(read_date("dates", "days", day, noun="calendar"))
    return tuple(sorted(single)), tuple(sorted(yearly))


def _month_and_day(text: str) -> tuple[int, int]:
    try:
        day = date.fromisoformat(f"2024-{text}")  # a leap year, so that 02-29 is valid
    except ValueError:
        problem = f"{text!r} is not a valid day of the year; write it as '12-24'"
        raise TriggerError(problem) from None
    return day.month, day.day
