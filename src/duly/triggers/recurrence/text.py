"""Reads an RRULE of RFC 5545, section 3.3.10.

What the RFC forbids is refused, and so are a few rules that make no sense on a schedule: BYSETPOS
within an hour, and hours, minutes or seconds that drift through the day while days are filtered.
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
LONGEST = 1000
MOST_COUNTED = 10_000

_NUMBERS = {
    # key: (lowest, highest, whether counting from the end by a negative number is allowed)
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
    """An RRULE.

    Attributes:
        text: the canonical text.
        freq: one of `FREQUENCIES`.
        interval: every how many of them.
        count: how many occurrences there are in all, or ``None``.
        until: the last possible wall time (naive) or instant (aware), or ``None``.
        week_start: 0 for Monday.
        by: the numbers of each ``BY…`` part.
        days: BYDAY as (weekday, which one; 0 for every one), Monday being 0.
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
    """Read an RRULE, with or without ``RRULE:`` in front.

    Raises:
        TriggerError: it is none, or one that is not supported.
    """
    parts = _split(text)
    freq = parts.get("FREQ", "")
    if freq not in FREQUENCIES:
        _refuse("FREQ", freq, f"is missing or unknown{did_you_mean(freq, FREQUENCIES)}")
    by = {key: _numbers(key, parts[key]) for key in _NUMBERS if key in parts}
    if "COUNT" in parts and "UNTIL" in parts:
        _refuse("UNTIL", parts["UNTIL"], "excludes COUNT")
    rule = Rule(
        ";".join(f"{key}={parts[key]}" for key in _KEYS if key in parts),
        freq,
        _number("INTERVAL", parts.get("INTERVAL", "1"), 1, 1_000_000),
        _number("COUNT", parts["COUNT"], 1, MOST_COUNTED) if "COUNT" in parts else None,
        _until(parts["UNTIL"]) if "UNTIL" in parts else None,
        _weekday(parts.get("WKST", "MO")),
        by,
        _days(parts["BYDAY"]) if "BYDAY" in parts else (),
    )
    _check(rule)
    return rule


def drifts(rule: Rule) -> bool:
    """Whether the hours, minutes or seconds that it steps to differ from day to day."""
    unit = SECONDS.get(rule.freq)
    return unit is not None and 86_400 % (unit * rule.interval) != 0


def _split(text: str) -> dict[str, str]:
    if len(text) > LONGEST:
        raise TriggerError(f"an RRULE has at most {LONGEST} characters")
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        key, _, value = part.strip().partition("=")
        if key not in _KEYS:
            hint = did_you_mean(key[:20], _KEYS)
            raise TriggerError(f"RRULE: unknown part {part[:40]!r}{hint}")
        if key in parts:
            _refuse(key, value, "is given twice")
        parts[key] = value
    return parts


def _numbers(key: str, value: str) -> tuple[int, ...]:
    low, high, negative = _NUMBERS[key]
    found = set()
    for text in value.split(","):
        sign = text.startswith("-") and negative
        number = _number(key, text.lstrip("+") if not sign else text[1:], low, high)
        found.add(-number if sign else number)
    return tuple(sorted(found))


def _number(key: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,8}", text, re.ASCII) or not low <= int(text) <= high:
        _refuse(key, text, f"must be a whole number from {low} to {high}")
    return int(text)


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        _refuse("WKST", text, f"must be one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _days(value: str) -> tuple[tuple[int, int], ...]:
    days = set()
    for text in value.split(","):
        found = _DAY.fullmatch(text)
        nth = int(found[1] or 0) if found else 0
        if not found or not -53 <= nth <= 53 or (found[1] and not nth):
            _refuse("BYDAY", text, "must be a weekday such as MO, 2TU or -1FR")
        else:
            days.add((WEEKDAYS.index(found[2]), nth))
    return tuple(sorted(days))


def _until(text: str) -> datetime:
    found = _UNTIL.fullmatch(text)
    try:
        day = date.fromisoformat(found[1] if found else text)
        at = time.fromisoformat(found[2]) if found and found[2] else time(23, 59, 59)
    except ValueError:
        _refuse("UNTIL", text, "must be 20261231, 20261231T235959 or 20261231T235959Z")
    return datetime.combine(day, at, UTC if found and found[3] else None)


def _check(rule: Rule) -> None:
    for key, forbidden in _FORBIDDEN.items():
        if key in rule.by and rule.freq in forbidden:
            _refuse(key, "", f"may not stand with FREQ={rule.freq}")
    counting = rule.freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in rule.by
    if not counting and any(nth for _, nth in rule.days):
        _refuse("BYDAY", "", "may count weekdays only in a month or a year")
    if "BYSETPOS" in rule.by and len(rule.by) == 1 and not rule.days:
        _refuse("BYSETPOS", "", "needs another BY… part to choose from")
    coarser = {"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(rule.freq, 0)
    limits = {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", *("BYHOUR", "BYMINUTE", "BYSECOND")[:coarser]}
    if drifts(rule) and (rule.days or limits & set(rule.by)):
        _refuse("INTERVAL", str(rule.interval), "must divide a day where days or times are chosen")


def _refuse(key: str, value: str, problem: str) -> NoReturn:
    shown = f"{key}={value[:30]}" if value else key
    raise TriggerError(f"RRULE: {shown} {problem}")
