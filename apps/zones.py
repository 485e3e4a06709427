"""The time zones that users may choose."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


@cache
def time_zones() -> tuple[str, ...]:
    """Return the names of all time zones that a user may choose, sorted."""
    return tuple(sorted(available_timezones() - {"localtime", "Factory"}))


def is_time_zone(name: str) -> bool:
    """Return whether a name is that of a known IANA time zone."""
    return name in time_zones()


def wall_clock(local: datetime, zone: str) -> datetime:
    """Return the instant of a local time, in UTC.

    A time that the clocks skip moves forward by the length of the gap; of a time that they repeat,
    the first is meant. Duly's triggers have the same defaults.
    """
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def local_time(moment: datetime, zone: str) -> datetime:
    """Return what the clocks of a zone show at an instant, without the zone."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
