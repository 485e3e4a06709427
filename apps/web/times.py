"""Moments as the pages show them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

_UNITS = (("day", 86400, 36 * 3600), ("hour", 3600, 5400), ("minute", 60, 90), ("second", 1, 0))


def relative(moment: datetime, now: datetime) -> str:
    """Return the distance to a moment, such as "in 5 minutes"; times.js does the same."""
    seconds = (moment - now).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    unit, length = next((unit, length) for unit, length, least in _UNITS if size >= least)
    count = int(size / length + 0.5)
    text = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def local(moment: datetime, zone: str) -> str:
    """Return a moment in the local time of a zone."""
    there = moment.astimezone(ZoneInfo(zone))
    seconds = f":{there:%S}" if there.second else ""
    return f"{there.day} {there:%b %Y, %H:%M}{seconds}"


def with_day(moment: datetime, zone: str) -> str:
    """Return a moment in the local time of a zone, with the day of the week."""
    return f"{moment.astimezone(ZoneInfo(zone)):%A}, {local(moment, zone)}"
