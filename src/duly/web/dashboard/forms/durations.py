"""Durations as people type them: "90", "1 h 30 min", "2 days"."""

from __future__ import annotations

import re

from duly.errors import ConfigurationError

_UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}
_NAMES = {
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    "ms": 0.001,
}
_LONGEST = 100
_PART = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-z]*)\s*", re.ASCII)


def duration_text(seconds: float) -> str:
    """Return a duration exactly: "1 h 30 min", "0.25 s"."""
    if seconds != int(seconds) or seconds >= 1e15:
        return f"{seconds!r} s"
    rest = int(seconds)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def read_duration(text: str) -> float:
    """Return the seconds of a duration; a number without a unit is in seconds.

    Raises:
        ConfigurationError: the text is not a duration.
    """
    total, position, lowered = 0.0, 0, text.strip().lower()
    while position < len(lowered) <= _LONGEST:
        match = _PART.match(lowered, position)
        if match is None or match[2] not in _NAMES:
            break
        total += float(match[1]) * _NAMES[match[2]]
        position = match.end()
    if not lowered or position < len(lowered):
        raise ConfigurationError("write a duration such as 90 s, 5 min or 1 h 30 min")
    return int(total) if total.is_integer() else total
