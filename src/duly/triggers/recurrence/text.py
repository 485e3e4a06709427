"""Read an RRULE of RFC 5545, section 3.3.10.

Rules that the RFC forbids are rejected, and so are a few that make no sense on a schedule: BYSETPOS
within an hour, and an interval that drifts through the day while days or times are filtered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import NoReturn

from duly.errors import TriggerError, did_you_mean

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
SECONDS = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MAX_LENGTH = 1000
_MAX_COUNT = 10_000

_NUMBERS = {
    # key: (lowest, highest, whether a negative number may count from the end)
    "BYSECOND": (0, 59, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYSETPOS": (1, 86_400 * 366, True),
}
_KEYS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS)
_FORBIDDEN = {
    "BYWEEKNO": ("MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"),
    "BYYEARDAY": ("MONTHLY", "WEEKLY", "DAILY"),
    "BYMONTHDAY": ("WEEKLY",),
    "BYSETPOS": ("HOURLY", "MINUTELY", "SECONDLY"),
}
_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed RRULE.

    Attributes:
        text: the canonical text.
        freq: one of `FREQUENCIES`.
        interval: the number of periods of ``freq`` from one to the next.
        count: the total number of occurrences, or ``None``.
        until: the last possible wall time (naive) or instant (aware), or ``None``.
        week_start: the first day of the week, Monday = 0.
        by: the numbers of each ``BY…`` part except BYDAY.
        days: BYDAY as (weekday, position), Monday = 0; position 0 means every such weekday.
    """

    text: str
    freq: str
    interval: int
    count: int | None
    until: datetime | None
    week_start: int
    by: Mapping[str, tuple[int, ...]]
    days: tuple[tuple[int, int], ...]


@lru_cache(maxsize=1024)
def read_rule(text: str) -> Rule:
    """Read an RRULE. Results are cached.

    Args:
        text: the rule, with or without the prefix ``RRULE:``.

    Raises:
        TriggerError: the rule is invalid or not supported.
    """
    parts = _split(text)
    freq = parts.get("FREQ", "")
    if freq not in FREQUENCIES:
        problem = "is not a valid frequency" if freq else "is required"
        _reject("FREQ", freq, f"{problem}{did_you_mean(freq, FREQUENCIES)}")
    by = {key: _numbers(key, parts[key]) for key in _NUMBERS if key in parts}
    if "COUNT" in parts and "UNTIL" in parts:
        _reject("UNTIL", parts["UNTIL"], "must not be combined with COUNT")
    rule = Rule(
        ";".join(f"{key}={parts[key]}" for key in _KEYS if key in parts),
        freq,
        _number("INTERVAL", parts.get("INTERVAL", "1"), 1, 1_000_000),
        _number("COUNT", parts["COUNT"], 1, _MAX_COUNT) if "COUNT" in parts else None,
        _until(parts["UNTIL"]) if "UNTIL" in parts else None,
        _weekday(parts.get("WKST", "MO")),
        by,
        _days(parts["BYDAY"]) if "BYDAY" in parts else (),
    )
    _check(rule)
    return rule


def drifts(rule: Rule) -> bool:
    """Return whether the rule reaches different times of day on different days."""
    unit = SECONDS.get(rule.freq)
    return unit is not None and 86_400 % (unit * rule.interval) != 0


def _split(text: str) -> dict[str, str]:
    if len(text) > _MAX_LENGTH:
        raise TriggerError(f"invalid RRULE: it must not exceed {_MAX_LENGTH} characters")
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        key, _, value = part.strip().partition("=")
        if key not in _KEYS:
            hint = did_you_mean(key[:20], _KEYS)
            raise TriggerError(f"invalid RRULE: {part[:40]!r} is not a valid part{hint}")
        if key in parts:
            _reject(key, value, "is given twice")
        parts[key] = value
    return parts


def _numbers(key: str, value: str) -> tuple[int, ...]:
    low, high, negative = _NUMBERS[key]
    numbers = set()
    for text in value.split(","):
        sign = text.startswith("-") and negative
        number = _number(key, text.lstrip("+") if not sign else text[1:], low, high)
        numbers.add(-number if sign else number)
    return tuple(sorted(numbers))


def _number(key: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,8}", text, re.ASCII) or not low <= int(text) <= high:
        _reject(key, text, f"is not an integer from {low} to {high}")
    return int(text)


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        _reject("WKST", text, f"is not one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _days(value: str) -> tuple[tuple[int, int], ...]:
    days = set()
    for text in value.split(","):
        match = _DAY.fullmatch(text)
        nth = int(match[1] or 0) if match else 0
        if not match or not -53 <= nth <= 53 or (match[1] and not nth):
            _reject("BYDAY", text, "is not a weekday such as MO, 2TU or -1FR")
        else:
            days.add((WEEKDAYS.index(match[2]), nth))
    return tuple(sorted(days))


def _until(text: str) -> datetime:
    match = _UNTIL.fullmatch(text)
    try:
        day = date.fromisoformat(match[1] if match else text)
        at = time.fromisoformat(match[2]) if match and match[2] else time(23, 59, 59)
    except ValueError:
        _reject(
            "UNTIL", text, "is not a date such as 20261231, 20261231T235959 or 20261231T235959Z"
        )
    return datetime.combine(day, at, UTC if match and match[3] else None)


def _check(rule: Rule) -> None:
    for key, forbidden in _FORBIDDEN.items():
        if key in rule.by and rule.freq in forbidden:
            _reject(key, "", f"must not be combined with FREQ={rule.freq}")
    counting = rule.freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in rule.by
    if not counting and any(nth for _, nth in rule.days):
        _reject(
            "BYDAY", "", "may only number weekdays if FREQ is MONTHLY or YEARLY, without BYWEEKNO"
        )
    if "BYSETPOS" in rule.by and len(rule.by) == 1 and not rule.days:
        _reject("BYSETPOS", "", "requires another BY… part to select from")
    coarser = {"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(rule.freq, 0)
    limits = {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", *("BYHOUR", "BYMINUTE", "BYSECOND")[:coarser]}
    if drifts(rule) and (rule.days or limits & set(rule.by)):
        _reject(
            "INTERVAL",
            str(rule.interval),
            "does not divide a day evenly, which selecting days or times requires",
        )


def _reject(key: str, value: str, problem: str) -> NoReturn:
    part = f"{key}={value[:30]}" if value else key
    raise TriggerError(f"invalid RRULE: {part} {problem}")
