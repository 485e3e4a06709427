"""Times of day as users write them, such as ``"08:00"``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time
from typing import Any

from duly.errors import TriggerError

_TIME = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)

At = str | time | Iterable[str | time]
"""``"08:00"``, a `datetime.time`, or several of them."""


def read_times(at: Any) -> tuple[int, ...]:
    """Return times of day as seconds since midnight, sorted and without duplicates.

    Args:
        at: one or more times of day; see `At`.

    Raises:
        TriggerError: a value is not a valid time of day, or there is none.
    """
    try:
        values = [at] if isinstance(at, str | time) else list(at)
    except TypeError:
        values = [at]
    if not 0 < len(values) <= 1440:
        raise TriggerError("at= takes 1 to 1440 times of day, such as '08:00'")
    return tuple(sorted({read_time(value) for value in values}))


def read_time(value: Any) -> int:
    """Return one time of day as seconds since midnight.

    Raises:
        TriggerError: the value is not a valid time of day.
    """
    if isinstance(value, time) and not value.microsecond and value.tzinfo is None:
        return value.hour * 3600 + value.minute * 60 + value.second
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match:
        hour, minute, second = (int(part or 0) for part in match.groups())
        if hour < 24 and minute < 60 and second < 60:
            return hour * 3600 + minute * 60 + second
    raise TriggerError(
        f"{str(value)[:40]!r} is not a valid time of day; write it as '08:00' or '08:00:30'"
    )


def format_time(second: int) -> str:
    """Return a second of the day as "08:00" or "08:00:30"."""
    minutes, seconds = divmod(second, 60)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text
