"""The days on which an RRULE fires.

The RFC distinguishes BY… parts that limit a period from those that expand it. For days, both are
equivalent: a day matches if its period is one that the interval reaches and every part allows the
day. So the search proceeds day by day and skips periods and months without matching days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from duly.triggers.recurrence.text import Rule

_LAST = date.max.toordinal()


class RuleDays:
    """The days of a rule, as ordinals of `datetime.date.toordinal`.

    Args:
        rule: the rule.
        start: its first day, which supplies the month, day or weekday that the rule omits.
    """

    def __init__(self, rule: Rule, start: date) -> None:
        self._freq = rule.freq
        self._step = 1 if rule.freq in ("HOURLY", "MINUTELY", "SECONDLY") else rule.interval
        self._week_start = rule.week_start
        self._start = start
        by = {key: frozenset(numbers) for key, numbers in rule.by.items()}
        days = frozenset(rule.days)
        if not (days or by.keys() & {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY"}):
            if rule.freq == "YEARLY":
                by.setdefault("BYMONTH", frozenset({start.month}))
            if rule.freq in ("YEARLY", "MONTHLY"):
                by["BYMONTHDAY"] = frozenset({start.day})
            if rule.freq == "WEEKLY":
                days = frozenset({(start.weekday(), 0)})
        self._months = by.get("BYMONTH", frozenset(range(1, 13)))
        self._month_days = by.get("BYMONTHDAY")
        self._year_days = by.get("BYYEARDAY")
        self._weeks = by.get("BYWEEKNO")
        self._weekdays = days
        self._in_month = rule.freq == "MONTHLY" or "BYMONTH" in by

    def matching(self, day: int, budget: int) -> Iterator[int]:
        """Yield the matching days from ``day`` on; stop after ``budget`` days without a match."""
        examined = 0
        while day <= _LAST and examined < budget:
            examined += 1
            when = date.fromordinal(day)
            later = self._skip(when)
            if later is None:
                if self._matches(when):
                    examined = 0
                    yield day
                later = day + 1
            day = later

    def periods(self, day: int, budget: int) -> Iterator[list[int]]:
        """Yield the matching days of each period, from the period of ``day`` on.

        Stop after ``budget`` examined days; a period that the interval skips counts as one.
        """
        first = self._after_periods(date.fromordinal(day), 0)
        while budget > 0 and first <= _LAST:
            when = date.fromordinal(first)
            off = self._period(when) % self._step
            end = self._after_periods(when, self._step - off if off else 1)
            if off:
                budget -= 1
            else:
                days = range(first, min(end, _LAST + 1))
                budget -= len(days)
                yield [day for day in days if self._belongs(date.fromordinal(day))]
            first = end

    def _belongs(self, when: date) -> bool:
        return when.month in self._months and self._matches(when)

    def _skip(self, when: date) -> int | None:
        """Return the day at which to continue if this one is in no period or month of the rule."""
        off = self._period(when) % self._step
        if off:
            return self._after_periods(when, self._step - off)
        if when.month not in self._months:
            return _month_start(when.year * 12 + when.month)
        return None

    def _period(self, when: date) -> int:
        """Return the number of periods from that of the start to that of a day."""
        start = self._start
        if self._freq == "YEARLY":
            return when.year - start.year
        if self._freq == "MONTHLY":
            return (when.year - start.year) * 12 + when.month - start.month
        if self._freq == "WEEKLY":
            return (self._week_of(when.toordinal()) - self._week_of(start.toordinal())) // 7
        return when.toordinal() - start.toordinal()

    def _after_periods(self, when: date, count: int) -> int:
        """Return the first day of the period that is ``count`` periods after that of a day."""
        if self._freq == "YEARLY":
            return _month_start((when.year + count) * 12)
        if self._freq == "MONTHLY":
            return _month_start(when.year * 12 + when.month - 1 + count)
        if self._freq == "WEEKLY":
            return self._week_of(when.toordinal()) + 7 * count
        return when.toordinal() + count

    def _week_of(self, day: int) -> int:
        """Return the first day of the week of a day, by the rule's WKST."""
        return day - (day - 1 - self._week_start) % 7

    def _matches(self, when: date) -> bool:
        return (
            (self._month_days is None or self._counted(self._month_days, *_in_month(when)))
            and (self._year_days is None or self._counted(self._year_days, *_in_year(when)))
            and (self._weeks is None or self._counted(self._weeks, *self._week(when)))
            and (not self._weekdays or self._weekday(when))
        )

    @staticmethod
    def _counted(wanted: frozenset[int], number: int, length: int) -> bool:
        """Return whether a position is wanted, counted from the start or from the end."""
        return number in wanted or number - length - 1 in wanted

    def _weekday(self, when: date) -> bool:
        weekday = when.weekday()
        if (weekday, 0) in self._weekdays:
            return True
        position, length = _in_month(when) if self._in_month else _in_year(when)
        front, back = (position - 1) // 7 + 1, -((length - position) // 7 + 1)
        return (weekday, front) in self._weekdays or (weekday, back) in self._weekdays

    def _week(self, when: date) -> tuple[int, int]:
        """Return the number of the week of a day and the number of weeks in its year.

        Week 1 contains 4 January, as in ISO 8601.
        """
        week = self._week_of(when.toordinal())
        year = date.fromordinal(min(week + 3, _LAST)).year
        first = self._week_of(date(year, 1, 4).toordinal())
        days = 366 if year == date.max.year else date(year + 1, 1, 4).toordinal() - first
        return (week - first) // 7 + 1, days // 7


def _in_month(when: date) -> tuple[int, int]:
    return when.day, _month_start(when.year * 12 + when.month) - when.toordinal() + when.day - 1


def _in_year(when: date) -> tuple[int, int]:
    length = 366 if when.year % 4 == 0 and (when.year % 100 or when.year % 400 == 0) else 365
    return (when - date(when.year, 1, 1) + timedelta(1)).days, length


def _month_start(month: int) -> int:
    """Return the first day of a month, or the day after the calendar ends.

    Args:
        month: the month, counted from January of the year 0.
    """
    year, month = divmod(month, 12)
    return date(year, month + 1, 1).toordinal() if year <= date.max.year else _LAST + 1
