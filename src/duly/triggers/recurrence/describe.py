"""Describe recurrence rules in English."""

from __future__ import annotations

from datetime import datetime

from duly.triggers.english import DAY_NAMES, MONTH_NAMES, join, ordinal
from duly.triggers.recurrence.text import SECONDS, Rule

_UNITS = {
    "YEARLY": "year",
    "MONTHLY": "month",
    "WEEKLY": "week",
    "DAILY": "day",
    "HOURLY": "hour",
    "MINUTELY": "minute",
    "SECONDLY": "second",
}
_POSITIONS = (
    ("BYMONTHDAY", "day", "of the month"),
    ("BYYEARDAY", "day", "of the year"),
    ("BYWEEKNO", "week", "of the year"),
)


def describe_rule(rule: Rule, start: datetime | None) -> str:
    """Return the English description of a rule: "every 2 weeks on Monday at 09:00"."""
    unit = _UNITS[rule.freq]
    words = [f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"]
    if rule.days:
        words.append(f"on {join([_day(weekday, nth) for weekday, nth in rule.days])}")
    for key, thing, of_what in _POSITIONS:
        if key in rule.by:
            words.append(
                f"on {join([f'the {_position(n, thing)}' for n in rule.by[key]])} {of_what}"
            )
    if "BYMONTH" in rule.by:
        words.append(f"in {join([MONTH_NAMES[n - 1] for n in rule.by['BYMONTH']])}")
    words += _times(rule, start)
    if "BYSETPOS" in rule.by:
        chosen = join([f"the {_position(n, 'one')}" for n in rule.by["BYSETPOS"]])
        words.append(f"(only {chosen} of each {unit})")
    if rule.count:
        words.append(f"{rule.count} times")
    if rule.until:
        words.append(f"until {rule.until:%Y-%m-%d %H:%M}{' UTC' if rule.until.tzinfo else ''}")
    if start:
        words.append(f"from {start:%Y-%m-%d %H:%M}")
    return " ".join(words)


def _times(rule: Rule, start: datetime | None) -> list[str]:
    hours, minutes = rule.by.get("BYHOUR"), rule.by.get("BYMINUTE")
    if rule.freq in SECONDS:
        return [f"in hour {join([str(n) for n in hours])}"] if hours else []
    if hours is None and start:
        hours = (start.hour,)
    if minutes is None and start:
        minutes = (start.minute,)
    if hours is None or minutes is None:
        return []
    return [f"at {join([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"]


def _day(weekday: int, nth: int) -> str:
    name = DAY_NAMES[(weekday + 1) % 7]
    return f"the {_position(nth, name)}" if nth else name


def _position(number: int, thing: str) -> str:
    if number == -1:
        return f"last {thing}"
    return f"{ordinal(-number)} last {thing}" if number < 0 else f"{ordinal(number)} {thing}"
