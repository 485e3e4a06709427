"""Validate settings where they are set, so that a bad value fails at once and not at 3 a.m."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from duly.clock import aware_utc
from duly.errors import ConfigurationError

Check = Callable[[str, Any], Any]
"""A function that takes an option's name and value, and returns the value to keep or raises."""

EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""The range of stored instants. Within it, an instant has a valid local time in every zone."""

CENTURY_S = 100 * 365.25 * 86_400
"""The longest duration of an option, short enough that instants plus durations never overflow."""


def check_fields(instance: Any, checks: Mapping[str, Check], label_format: str) -> None:
    """Check the fields of a frozen dataclass from its ``__post_init__``, and store the results.

    Args:
        instance: the dataclass instance.
        checks: the check of each field, by name.
        label_format: how error messages refer to a field, such as ``"Retry({}=…)"``.
    """
    for name, check in checks.items():
        value = check(label_format.format(name), getattr(instance, name))
        object.__setattr__(instance, name, value)


def refuse(name: str, value: object, allowed: str) -> ConfigurationError:
    """Return the error for a value that is not allowed."""
    return ConfigurationError(f"{name} is {value!r}; it must be {allowed}")


def number(low: float, high: float, allowed: str, *, above: bool = False) -> Check:
    """Return a check for a number, or for a timedelta, which is converted to seconds.

    Args:
        low: the lower bound.
        high: the upper bound, inclusive.
        allowed: how error messages describe the allowed values.
        above: whether the lower bound is exclusive; default: inclusive.
    """

    def check(name: str, value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or math.isnan(seconds)
            or not low <= seconds <= high
            or (above and seconds == low)
        ):
            raise refuse(name, value, allowed)
        return int(seconds) if seconds == int(seconds) else seconds  # 60.0 is stored as 60

    return check


def whole(low: int, high: int) -> Check:
    """Return a check for an int from ``low`` to ``high``, both inclusive."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise refuse(name, value, f"a whole number from {low} to {high}")
        return value

    return check


def choice(*allowed: str) -> Check:
    """Return a check for one of several strings."""

    def check(name: str, value: Any) -> Any:
        if value not in allowed:
            raise refuse(name, value, "one of " + ", ".join(map(repr, allowed)))
        return value

    return check


def yes_or_no(name: str, value: Any) -> Any:
    """Return a value that is true or false.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, bool):
        raise refuse(name, value, "True or False")
    return value


def optional(check: Check) -> Check:
    """Return a check that accepts ``None`` and whatever ``check`` accepts."""
    return lambda name, value: None if value is None else check(name, value)


def label(longest: int) -> Check:
    """Return a check for a name of 1 to ``longest`` printable characters."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise refuse(name, value, f"1 to {longest} printable characters")
        return value

    return check


def web_address(name: str, value: Any) -> str:
    """Check an http or https URL of at most 500 characters."""
    if isinstance(value, str) and len(value) <= 500 and value.isprintable():
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname:
            return value
    raise refuse(name, value, "a URL such as 'https://example.org/ping/4711'")


def instant(name: str, value: Any) -> datetime:
    """Check an aware datetime or its ISO 8601 text; return it in UTC, within the valid range."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(
                f"{name} is {value!r}, which is not a valid ISO 8601 date and time; "
                "give for example 2026-03-08T00:00:00Z"
            ) from None
    if not isinstance(moment, datetime):
        raise refuse(name, value, "an aware datetime")
    return min(max(aware_utc(moment, f"{name}="), EARLIEST), LATEST)


SECONDS = number(0, CENTURY_S, "0 or more seconds, at most a century")
TIME = number(0, CENTURY_S, "more than 0 seconds, at most a century", above=True)
