"""Values that users set, checked when they are set: a wrong one must not break a night later."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from duly.clock import aware_utc
from duly.errors import ConfigurationError

Check = Callable[[str, Any], Any]
"""Takes an option's name and value; returns the value as it is kept, or raises."""

EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""No instant that is stored lies outside of these: in every zone it is still in the calendar."""

CENTURY_S = 100 * 365.25 * 86_400
"""The longest time that an option may give: adding it to an instant never leaves the calendar."""


def check_fields(held: Any, checks: Mapping[str, Check], shown: str) -> None:
    """Check the fields of a frozen value that is being made, and keep what the checks return.

    Args:
        held: the value.
        checks: by field.
        shown: how errors name a field: a format with one place.
    """
    for name, check in checks.items():
        object.__setattr__(held, name, check(shown.format(name), getattr(held, name)))


def refuse(name: str, value: object, allowed: str) -> ConfigurationError:
    """The error for a value that is not allowed."""
    return ConfigurationError(f"{name} is {value!r}; it must be {allowed}")


def number(low: float, high: float, allowed: str, *, above: bool = False) -> Check:
    """A number, or a timedelta that stands for its seconds.

    Args:
        low: the smallest; with ``above``, it must be larger.
        high: the largest.
        allowed: what to say in the error.
        above: whether ``low`` itself is too small.
    """

    def check(name: str, value: Any) -> float:
        held = value.total_seconds() if isinstance(value, timedelta) else value
        if isinstance(held, bool) or not isinstance(held, int | float) or math.isnan(held):
            raise refuse(name, value, allowed)
        if not low <= held <= high or (above and held == low):
            raise refuse(name, value, allowed)
        return int(held) if held == int(held) else held  # 60.0 is stored as 60 is

    return check


def whole(low: int, high: int) -> Check:
    """An int from ``low`` to ``high``."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise refuse(name, value, f"a whole number from {low} to {high}")
        return value

    return check


def choice(*allowed: str) -> Check:
    """One of a few words."""

    def check(name: str, value: Any) -> Any:
        if value not in allowed:
            raise refuse(name, value, "one of " + ", ".join(map(repr, allowed)))
        return value

    return check


def optional(check: Check) -> Check:
    """None, or what ``check`` takes."""
    return lambda name, value: None if value is None else check(name, value)


def label(longest: int) -> Check:
    """A name that every database holds: printable, of 1 to ``longest`` characters."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise refuse(name, value, f"1 to {longest} printable characters")
        return value

    return check


def web_address(name: str, value: Any) -> str:
    """An http(s) URL of at most 500 characters."""
    if isinstance(value, str) and len(value) <= 500 and value.isprintable():
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname:
            return value
    raise refuse(name, value, "an address such as 'https://example.org/ping/4711'")


def instant(name: str, value: Any) -> datetime:
    """An aware datetime, or its ISO text; in UTC, and drawn in from the ends of the calendar."""
    held = value
    if isinstance(value, str):
        try:
            held = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(f"{name} is {value!r}, no ISO date and time") from None
    if not isinstance(held, datetime):
        raise refuse(name, value, "an aware datetime")
    try:
        return min(max(aware_utc(held, f"{name}="), EARLIEST), LATEST)
    except OverflowError:
        return EARLIEST if held.year < LATEST.year else LATEST


SECONDS = number(0, CENTURY_S, "0 or more seconds, at most a century")
TIME = number(0, CENTURY_S, "more than 0 seconds, at most a century", above=True)
