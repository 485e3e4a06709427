"""Describe cron expressions in English."""

from __future__ import annotations

from collections.abc import Sequence

from duly.triggers.crontab.text import CronFields
from duly.triggers.english import DAY_NAMES, MONTH_NAMES, join, ordinal, plural, ranges
from duly.triggers.wallclock.day_rules import (
    DayRule,
    LastDay,
    MonthDays,
    NearestWorkday,
    NthWeekday,
    Weekdays,
)

_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_FEW = 6
"""The number of times of day that are listed one by one before hours and minutes are described."""


def describe_cron(fields: CronFields) -> str:
    """Return the English description of an expression, such as "at 09:00 on Monday to Friday"."""
    return " ".join(filter(None, (_time(fields), _days(fields), _months(fields))))


def _time(fields: CronFields) -> str:
    second, minute, hour = fields.texts[:3]
    hours, minutes, seconds = fields.hours, fields.minutes, fields.seconds
    if len(hours) * len(minutes) * len(seconds) <= _FEW:
        return "at " + join([_clock(h, m, s) for h in hours for m in minutes for s in seconds])
    if seconds == (0,):
        text = _steps("minute", minute, minutes, 60)
        return text + _within(hour, hours, text)
    text = _steps("second", second, seconds, 60)
    if minute != "*":
        text += f", {_steps('minute', minute, minutes, 60)}"
    return text + _within(hour, hours, text.rpartition(", ")[2])


def _steps(unit: str, text: str, values: Sequence[int], span: int) -> str:
    """Describe a second or minute field: "every 5 minutes", "at minutes 3 and 7"."""
    step = _even_step(values, span)
    if step == 1:
        return f"every {unit}"
    if step and values[0] == 0:
        return f"every {step} {unit}s"
    if len(values) == 1:
        return f"at {unit} {values[0]}" if values[0] else f"at the start of every {_OUTER[unit]}"
    return f"at {unit}s {ranges(values, [str(n) for n in range(span)], 0)}"


_OUTER = {"second": "minute", "minute": "hour"}


def _within(text: str, hours: Sequence[int], minutes: str) -> str:
    """Describe the hour field, given the description of the minutes that precedes it."""
    if len(hours) == 24:
        return " of every hour" if minutes.startswith("at minute") else ""
    if len(hours) > 2 and hours[-1] - hours[0] == len(hours) - 1 and minutes.startswith("every"):
        return f" from {hours[0]:02}:00 to {hours[-1]:02}:59"
    if text.startswith("*/") and (step := _even_step(hours, 24)):
        return f" of every {ordinal(step)} hour"
    return f" of hour{'s' * (len(hours) > 1)} {ranges(hours, [f'{h:02}' for h in range(24)], 0)}"


def _even_step(values: Sequence[int], span: int) -> int | None:
    """Return the distance between values that divide the span evenly, or ``None``."""
    step = values[1] - values[0] if len(values) > 1 else span
    even = tuple(range(values[0], span, step)) == tuple(values) and span % step == 0
    return step if even and len(values) > 1 else None


def _days(fields: CronFields) -> str:
    month, week = fields.texts[3], fields.texts[5]
    by_month = "" if month == "*" else f"on {join(_each(fields.days_of_month))} of the month"
    by_week = "" if week == "*" else f"on {join(_each(fields.days_of_week))}"
    if by_month and by_week:
        link = "and also" if fields.either_day else "but only"
        return f"{by_month} {link} {by_week}"
    return by_month or by_week


def _each(rules: Sequence[DayRule]) -> list[str]:
    return [_day(rule) for rule in rules]


def _day(rule: DayRule) -> str:
    match rule:
        case MonthDays(numbers):
            return f"the {ranges(numbers, [ordinal(n) for n in range(1, 32)], 1)}"
        case LastDay(0):
            return "the last day"
        case LastDay(back):
            return f"{plural(back, 'day')} before the last day"
        case NearestWorkday(None):
            return "the last working day"
        case NearestWorkday(int(day)):
            return f"the working day nearest to the {ordinal(day)}"
        case Weekdays(numbers):
            return ranges(numbers, DAY_NAMES, 0)
        case NthWeekday(weekday, None):
            return f"the last {DAY_NAMES[weekday]} of the month"
        case NthWeekday(weekday, int(nth)):
            return f"the {_ORDINALS[nth - 1]} {DAY_NAMES[weekday]} of the month"
    raise TypeError(rule)


def _months(fields: CronFields) -> str:
    if len(fields.months) == 12:
        return ""
    return f"in {ranges(fields.months, MONTH_NAMES, 1)}"


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}:{second:02}" if second else f"{hour:02}:{minute:02}"
