"""Validate the keys of a frequency and normalise their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from duly.clock import aware_utc
from duly.errors import CronError, DulyError, FrequencyError, TriggerError, did_you_mean
from duly.triggers.crontab.trigger import cron
from duly.triggers.wallclock.zones import load_zone

DEFAULT_ZONE = "America/Los_Angeles"
_MIN_MINUTES = 5
_COMMON = ("type", "timezone", "startDate", "endDate", "excludeDates")
_TIMED = (*_COMMON, "time", "times", "months")
KEYS = {
    "daily": _TIMED,
    "weekly": (*_TIMED, "dayOfWeek", "weekOfMonth"),
    "monthly": (*_TIMED, "dayOfMonth", "monthEnd", "dayOfWeek", "weekOfMonth"),
    "hourly": (*_COMMON, "time", "months"),
    "cron": (*_COMMON, "expression"),
    "interval": (*_COMMON, "every_minutes", "anchor"),
    "once": ("type", "timezone", "at"),
}
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_LAST_WEEK = -1
_NUMBERS = {
    "dayOfWeek": (0, 7, "day of the week"),
    "dayOfMonth": (1, 31, "day of the month"),
    "months": (1, 12, "month"),
}
_MAX_DATES = 1000


def normalise(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a frequency with every list sorted and an explicit zone.

    Raises:
        FrequencyError: a key is unknown, missing or invalid; its ``field`` names the key.
    """
    if "type" not in data:
        raise FrequencyError("type", f"is required{did_you_mean('', KEYS)}")
    kind = data["type"]
    if not isinstance(kind, str) or kind not in KEYS:
        name = str(kind)[:20]
        raise FrequencyError("type", f"{name!r} is not valid{did_you_mean(name, KEYS)}")
    for key in data:
        if key not in KEYS[kind]:
            name = str(key)[:40]
            hint = did_you_mean(name, KEYS[kind])
            raise FrequencyError(name, f"is not a valid key for type {kind!r}{hint}")
    rule: dict[str, Any] = {"type": kind, "timezone": _zone(data.get("timezone", DEFAULT_ZONE))}
    for key, value in data.items():
        if key not in rule:
            rule[key] = _READERS[key](key, value)
    _require(rule)
    return rule


def _require(rule: Mapping[str, Any]) -> None:
    """Reject a frequency with missing or contradictory keys."""
    kind = rule["type"]
    needed = {
        "daily": ("time",),
        "weekly": ("time", "dayOfWeek"),
        "monthly": ("time", "dayOfWeek" if "weekOfMonth" in rule else "dayOfMonth"),
        "hourly": ("time",),
        "cron": ("expression",),
        "interval": ("every_minutes",),
        "once": ("at",),
    }[kind]
    for key in needed:
        if key not in rule and not (key == "time" and "times" in rule):
            raise FrequencyError(key, f"is required for type {kind!r}")
    if "time" in rule and "times" in rule:
        raise FrequencyError("times", "must not be combined with time")
    if kind == "monthly" and "weekOfMonth" in rule and "dayOfMonth" in rule:
        raise FrequencyError("weekOfMonth", "must not be combined with dayOfMonth")
    if kind == "monthly" and "dayOfWeek" in rule and "weekOfMonth" not in rule:
        raise FrequencyError("dayOfWeek", "requires weekOfMonth in a monthly frequency")
    if rule.get("endDate", "9999") < rule.get("startDate", "0000"):
        raise FrequencyError("endDate", "must not be before startDate")


def _zone(value: Any) -> str:
    try:
        load_zone(value if isinstance(value, str) else str(value)[:60])
    except TriggerError as error:
        raise FrequencyError("timezone", f"is invalid: {error}") from None
    return str(value)


def _time(key: str, value: Any, index: int | None = None) -> str:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        problem = f"{str(value)[:20]!r} is not a time from 00:00 to 23:59"
        raise FrequencyError(key, problem, index)
    return value


def _times(key: str, value: Any) -> list[str]:
    items = _list(key, value, str, 96)
    return sorted({_time(key, item, index) for index, item in enumerate(items)})


def _numbers(key: str, value: Any) -> list[int]:
    low, high, unit = _NUMBERS[key]
    numbers = _list(key, value, int, 100)
    for index, number in enumerate(numbers):
        if not low <= number <= high:
            problem = f"{str(number)[:20]} is not a {unit}; give {low} to {high}"
            raise FrequencyError(key, problem, index)
    return sorted({number % 7 if key == "dayOfWeek" else number for number in numbers})


def _weeks(key: str, value: Any) -> list[int]:
    weeks = _list(key, _LAST_WEEK if value == "last" else value, int, 10)
    for index, week in enumerate(weeks):
        if week != _LAST_WEEK and not 1 <= week <= 5:
            problem = "is not a week of the month; give 1 to 5, or -1 for the last"
            raise FrequencyError(key, f"{str(week)[:20]} {problem}", index)
    return sorted(set(weeks))


def _list(key: str, value: Any, kind: type, limit: int) -> list[Any]:
    items = value if isinstance(value, list | tuple) else [value]
    if not 0 < len(items) <= limit:
        raise FrequencyError(key, f"must have 1 to {limit} values")
    for index, item in enumerate(items):
        if type(item) is not kind:
            wanted = "an integer" if kind is int else "a string"
            raise FrequencyError(key, f"{str(item)[:20]!r} is not {wanted}", index)
    return list(items)


def _date(key: str, value: Any, index: int | None = None) -> str:
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    problem = f"{str(value)[:20]!r} is not a date such as '2026-12-31'"
    raise FrequencyError(key, problem, index)


def _dates(key: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > _MAX_DATES:
        raise FrequencyError(key, f"must be a list of at most {_MAX_DATES} dates")
    return sorted({_date(key, item, index) for index, item in enumerate(value)})


def _instant(key: str, value: Any) -> str:
    try:
        if isinstance(value, str) and len(value) <= 40:
            return aware_utc(datetime.fromisoformat(value), key).isoformat()
    except (ValueError, OverflowError, DulyError):
        pass
    raise FrequencyError(key, f"must be a time with a UTC offset, not {str(value)[:40]!r}")


def _minutes(key: str, value: Any) -> int:
    if type(value) is not int or not _MIN_MINUTES <= value <= 10_000_000:
        raise FrequencyError(
            key, f"must be an integer of at least {_MIN_MINUTES}, not {str(value)[:20]!r}"
        )
    return value


def _month_end(key: str, value: Any) -> str:
    if value not in ("last", "skip"):
        raise FrequencyError(key, f"must be 'last' or 'skip', not {str(value)[:20]!r}")
    return str(value)


def _expression(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FrequencyError(key, f"must be a string, not {str(value)[:20]!r}")
    try:
        trigger = cron(value)
    except CronError as error:
        raise FrequencyError(key, f"is invalid: {error}") from error
    if len(trigger.expression.split()) != 5:
        raise FrequencyError(key, "must have five fields, without seconds")
    return trigger.expression


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "time": _time,
    "times": _times,
    "dayOfWeek": _numbers,
    "dayOfMonth": _numbers,
    "months": _numbers,
    "weekOfMonth": _weeks,
    "monthEnd": _month_end,
    "startDate": _date,
    "endDate": _date,
    "excludeDates": _dates,
    "expression": _expression,
    "every_minutes": _minutes,
    "anchor": _instant,
    "at": _instant,
}
