"""Every so many days or months from a starting day, at times of day, on the wall clock."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from duly.triggers.day_times import ListedTimes
from duly.triggers.unix_time import DAY, UNIX_DAY


class SteppedDays:
    """A `duly.triggers.occurrences.WallPattern` of days at equal distances.

    Args:
        start: the first day.
        days: the distance in days, or 0.
        months: the distance in months, where ``days`` is 0. A month without such a day takes its
            last day instead.
        skip: leave such a month out.
        times: seconds of the day, sorted.
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
        """See `duly.triggers.occurrences.WallPattern`."""
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
        """See `duly.triggers.occurrences.WallPattern`."""
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
        """The number of the first step whose day, where its month has it, is not before ``day``."""
        start = self._start
        if self._days:
            return max(0, -((start.toordinal() - UNIX_DAY - day) // self._days))
        when = date.fromordinal(min(max(day + UNIX_DAY, 1), date.max.toordinal()))
        months = (when.year - start.year) * 12 + when.month - start.month
        step = max(0, -(-months // self._months))
        if step * self._months == months and when.day > min(start.day, month_length(when)):
            step += 1
        return step

    def _day_from(self, step: int) -> int | None:
        """The day of a step, or of the next one whose month has such a day."""
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
        length = month_length(date(year, month + 1, 1))
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
    """The pattern; the same object for the same question."""
    return SteppedDays(start, days=days, months=months, skip=skip, times=times)


def month_length(day: date) -> int:
    """How many days the month of a day has."""
    if day.month == 12:
        return 31
    first = date(day.year, day.month, 1)
    return date(day.year, day.month + 1, 1).toordinal() - first.toordinal()
