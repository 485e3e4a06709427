"""The pattern of days of the month or week, each at the same times of day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from duly.triggers.wallclock.day_rules import LENGTHS
from duly.triggers.wallclock.day_times import DayTimes
from duly.triggers.wallclock.seconds import DAY, UNIX_DAY

_THURSDAY = 4
"""The weekday of 1970-01-01, counted from Sunday = 0."""

_LAST_DAY = date.max.toordinal() - UNIX_DAY
_CYCLE = 41
"""The years within which every month has each of its shapes: a leap day falls on a given weekday at
least every 40 years, the longest time spanning a year such as 1900."""


class MonthPattern:
    """A `duly.triggers.wallclock.search.WallPattern` determined by the shape of the month.

    Args:
        times: the times of day on a matching day.
        months: the months that have matching days, sorted.
        masks: the matching days of each shape of month, by first weekday and length.
    """

    __slots__ = ("_first", "_last", "_masks", "_month", "_months", "_times")

    def __init__(
        self, times: DayTimes, months: tuple[int, ...], masks: Mapping[tuple[int, int], int]
    ) -> None:
        self._times = times
        self._months = months
        self._masks = masks
        self._first = times.first
        self._last = times.last
        # The month used last: (its first day, the day after its last, its matching days).
        # Replaced as a whole, so threads may share this value.
        self._month = (0, 0, 0)

    def at_or_after(self, wall: int) -> int | None:
        """See `duly.triggers.wallclock.search.WallPattern`."""
        day, second = divmod(wall, DAY)
        first, end, mask = self._month
        if not first <= day < end:
            first, end, mask = self._month = self._load(day)
        rest = mask >> (day - first)
        if rest & 1 and second <= self._last:
            return day * DAY + self._times.at_or_after(second)
        rest >>= 1
        if not rest:
            if (month := self._month_from(end)) is None:
                return None
            first, _, rest = self._month = month
            day = first - 1
        return (day + (rest & -rest).bit_length()) * DAY + self._first

    def count(self, start: int, end: int) -> int:
        """See `duly.triggers.wallclock.search.WallPattern`."""
        (first_day, first), (last_day, last) = divmod(start, DAY), divmod(end, DAY)
        total = len(self._times) * self._count_days(first_day, last_day)
        if self._count_days(first_day, first_day + 1):
            total -= self._times.count_before(first)
        if last and self._count_days(last_day, last_day + 1):
            total += self._times.count_before(last)
        return total

    def _count_days(self, day: int, end: int) -> int:
        total = 0
        while day < end:
            first, past, mask = self._month
            if not first <= day < past:
                first, past, mask = self._month = self._load(day)
            past = min(past, end)
            total += ((mask >> (day - first)) & ((1 << (past - day)) - 1)).bit_count()
            day = past
        return total

    def _load(self, day: int) -> tuple[int, int, int]:
        """Return the month that contains a day."""
        when = date.fromordinal(day + UNIX_DAY)
        return self._month_of(when.year, when.month, day - when.day + 1)

    def _month_of(self, year: int, month: int, first: int) -> tuple[int, int, int]:
        """Return the first day of a month, the day after its last, and its mask."""
        length = LENGTHS[month][-1]
        if month == 2 and (year % 4 or (year % 100 == 0 and year % 400)):
            length = 28
        mask = self._masks[(first + _THURSDAY) % 7, length] if month in self._months else 0
        return first, first + length, mask

    def _month_from(self, day: int) -> tuple[int, int, int] | None:
        """Return the first month with a matching day that starts on or after ``day``."""
        if day > _LAST_DAY:
            return None
        when = date.fromordinal(day + UNIX_DAY)
        for year in range(when.year, min(when.year + _CYCLE, 10_000)):
            for month in self._months:
                if year > when.year or month >= when.month:
                    first = date(year, month, 1).toordinal() - UNIX_DAY
                    candidate = self._month_of(year, month, first)
                    if candidate[2]:
                        return candidate
        return None
