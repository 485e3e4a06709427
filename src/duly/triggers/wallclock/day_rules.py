"""Rules that select days of a month.

A month has one of 28 shapes: it has 28 to 31 days and starts on one of seven weekdays. Every rule
depends only on the shape, for which it yields a bit mask: bit 0 is the first of the month. Weekdays
are numbered as in crontab, from Sunday = 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol


class MonthShape(NamedTuple):
    """The shape of a month.

    Attributes:
        first: the weekday of the first, Sunday = 0.
        length: the number of days.
    """

    first: int
    length: int

    def weekday(self, day: int) -> int:
        """Return the weekday of a day of this month."""
        return (self.first + day - 1) % 7


LENGTHS = {m: (30,) if m in (4, 6, 9, 11) else (28, 29) if m == 2 else (31,) for m in range(1, 13)}
"""The possible lengths of each month."""

SHAPES = tuple(MonthShape(first, length) for first in range(7) for length in range(28, 32))


class DayRule(Protocol):
    """One part of a day field."""

    def days(self, shape: MonthShape) -> Iterable[int]:
        """Return the days of a month of this shape; numbers outside the month are ignored."""


@dataclass(frozen=True, slots=True)
class MonthDays:
    """Plain days of the month: ``1,15``."""

    numbers: tuple[int, ...]

    def days(self, shape: MonthShape) -> Iterable[int]:
        """See `DayRule.days`."""
        return self.numbers


@dataclass(frozen=True, slots=True)
class ClampedDays:
    """Days of the month, clamped to the last: 31 means 30 in April. Cron has no such rule."""

    numbers: tuple[int, ...]

    def days(self, shape: MonthShape) -> Iterable[int]:
        """See `DayRule.days`."""
        return {min(number, shape.length) for number in self.numbers}


@dataclass(frozen=True, slots=True)
class LastDay:
    """The last day, ``L``, or a number of days before it, ``L-3``."""

    back: int = 0

    def days(self, shape: MonthShape) -> Iterable[int]:
        """See `DayRule.days`."""
        return (shape.length - self.back,)


@dataclass(frozen=True, slots=True)
class NearestWorkday:
    """``15W``: the weekday nearest to a day, in the same month; ``LW`` has ``day=None``."""

    day: int | None

    def days(self, shape: MonthShape) -> Iterable[int]:
        """See `DayRule.days`."""
        day = shape.length if self.day is None else self.day
        if day > shape.length:
            return ()
        weekday = shape.weekday(day)
        if weekday == 6:
            return (day - 1 if day > 1 else day + 2,)
        if weekday == 0:
            return (day + 1 if day < shape.length else day - 2,)
        return (day,)


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Plain weekdays: ``1-5``."""

    numbers: tuple[int, ...]

    def days(self, shape: MonthShape) -> Iterable[int]:
        """See `DayRule.days`."""
        return (d for d in range(1, shape.length + 1) if shape.weekday(d) in self.numbers)


@dataclass(frozen=True, slots=True)
class NthWeekday:
    """``2#3``, the third Tuesday; ``2L``, the last one, has ``nth=None``."""

    weekday: int
    nth: int | None

    def days(self, shape: MonthShape) -> Iterable[int]:
        """See `DayRule.days`."""
        first = (self.weekday - shape.first) % 7 + 1
        if self.nth is None:
            return (first + (shape.length - first) // 7 * 7,)
        return (first + (self.nth - 1) * 7,)


class DayMasks(dict[tuple[int, int], int]):
    """The matching days of each shape of month as bit masks, computed on demand.

    Args:
        by_month: the rules of the day-of-month field.
        by_week: the rules of the day-of-week field.
        either: whether one matching field is enough; otherwise both must match.
    """

    def __init__(
        self, by_month: tuple[DayRule, ...], by_week: tuple[DayRule, ...], *, either: bool
    ) -> None:
        super().__init__()
        self._rules = by_month, by_week
        self._either = either

    def __missing__(self, shape: tuple[int, int]) -> int:
        """Compute the mask of a shape."""
        by_month, by_week = (mask_of(rules, MonthShape(*shape)) for rules in self._rules)
        mask = self[shape] = by_month | by_week if self._either else by_month & by_week
        return mask

    def possible(self, months: Iterable[int]) -> bool:
        """Return whether any of the months can have a matching day."""
        lengths = {length for month in months for length in LENGTHS[month]}
        return any(shape.length in lengths and self[shape] for shape in SHAPES)


@lru_cache(maxsize=1024)
def day_masks(
    by_month: tuple[DayRule, ...], by_week: tuple[DayRule, ...], *, either: bool
) -> DayMasks:
    """Return the masks of two day fields. Cached: equal arguments share one object."""
    return DayMasks(by_month, by_week, either=either)


def mask_of(rules: Iterable[DayRule], shape: MonthShape) -> int:
    """Return the days of a month that any of the rules selects."""
    mask = 0
    for rule in rules:
        for day in rule.days(shape):
            if 1 <= day <= shape.length:
                mask |= 1 << (day - 1)
    return mask
