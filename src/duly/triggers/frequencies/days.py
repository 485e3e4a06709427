"""The days and times of a frequency: as a pattern, as crontab and in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duly.triggers.english import DAY_NAMES, MONTH_NAMES, join, ordinal, ranges
from duly.triggers.wallclock.day_rules import (
    SHAPES,
    ClampedDays,
    DayRule,
    MonthDays,
    NthWeekday,
    Weekdays,
    mask_of,
)
from duly.triggers.wallclock.day_times import DayTimes
from duly.triggers.wallclock.month_pattern import MonthPattern

_ALL_MONTHS = tuple(range(1, 13))


def month_pattern(rule: Mapping[str, Any]) -> MonthPattern:
    """Return the wall times of a daily, weekly or monthly frequency."""
    minutes = tuple(int(time[:2]) * 60 + int(time[3:]) for time in _times(rule))
    rules = _rules(rule)
    masks: dict[tuple[int, int], int] = {shape: mask_of(rules, shape) for shape in SHAPES}
    return MonthPattern(DayTimes(minutes), tuple(rule.get("months", _ALL_MONTHS)), masks)


def _times(rule: Mapping[str, Any]) -> list[str]:
    """Return the times of day as "HH:MM", sorted."""
    return list(rule.get("times", [rule.get("time")]))


def crontab(rule: Mapping[str, Any]) -> str | None:
    """Return the crontab expression equivalent to a frequency, or ``None`` if there is none.

    Args:
        rule: a daily, weekly, monthly or hourly frequency.
    """
    hours = sorted({int(time[:2]) for time in _times(rule)})
    minutes = sorted({int(time[3:]) for time in _times(rule)})
    if len(hours) * len(minutes) != len(_times(rule)):
        return None
    hour = "*" if rule["type"] == "hourly" else _list(hours)
    day, weekday = "*", _list(rule.get("dayOfWeek", "*"))
    if "weekOfMonth" in rule:
        weekday = ",".join(
            f"{number}L" if week == -1 else f"{number}#{week}"
            for number in rule["dayOfWeek"]
            for week in rule["weekOfMonth"]
        )
    if "dayOfMonth" in rule:
        numbers = rule["dayOfMonth"]
        clamps = rule.get("monthEnd") != "skip" and numbers[-1] > 28
        if clamps and numbers[-1] != 31:
            return None
        # "L" covers the 31st, and the 29th and 30th in months that lack them.
        day = ",".join("L" if clamps and n == 31 else str(n) for n in numbers)
    return f"{_list(minutes)} {hour} {day} {_list(rule.get('months', '*'))} {weekday}"


def describe(rule: Mapping[str, Any]) -> str:
    """Return the days and times in English, such as "at 10:00 on Monday and Friday"."""
    text = f"at {join(_times(rule))}"
    if rule["type"] == "hourly":
        text = f"at minute {int(rule['time'][3:])} of every hour"
    if "weekOfMonth" in rule:
        weeks = join(["last" if w == -1 else ordinal(w) for w in rule["weekOfMonth"]])
        text += f" on the {weeks} {join([DAY_NAMES[n] for n in rule['dayOfWeek']])} of the month"
    elif "dayOfWeek" in rule:
        text += f" on {ranges(rule['dayOfWeek'], DAY_NAMES, 0)}"
    elif "dayOfMonth" in rule:
        days = ranges(rule["dayOfMonth"], [ordinal(n) for n in range(1, 32)], 1)
        clamps = rule.get("monthEnd") != "skip" and rule["dayOfMonth"][-1] > 28
        text += f" on the {days} of the month{', or its last day' if clamps else ''}"
    if "months" in rule:
        text += f" in {ranges(rule['months'], MONTH_NAMES, 1)}"
    return text if text.count(" ") > 1 or rule["type"] == "hourly" else f"{text} every day"


def _rules(rule: Mapping[str, Any]) -> list[DayRule]:
    if "weekOfMonth" in rule:
        return [
            NthWeekday(weekday, None if week == -1 else week)
            for weekday in rule["dayOfWeek"]
            for week in rule["weekOfMonth"]
        ]
    if "dayOfWeek" in rule:
        return [Weekdays(tuple(rule["dayOfWeek"]))]
    if "dayOfMonth" in rule:
        numbers = tuple(rule["dayOfMonth"])
        return [MonthDays(numbers) if rule.get("monthEnd") == "skip" else ClampedDays(numbers)]
    return [MonthDays(tuple(range(1, 32)))]


def _list(numbers: Any) -> str:
    return numbers if isinstance(numbers, str) else ",".join(map(str, numbers))
