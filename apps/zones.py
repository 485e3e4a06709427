"""The time zones that users may choose."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones


@cache
def time_zones() -> tuple[str, ...]:
    """Return the names of all time zones that a user may choose, sorted."""
    return tuple(sorted(available_timezones() - {"localtime", "Factory"}))


def is_time_zone(name: str) -> bool:
    """Return whether a name is that of a known IANA time zone."""
    return name in time_zones()
