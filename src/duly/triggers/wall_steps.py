"""Arithmetic on the wall clock: "seven days before 18:00 in New York" (rule R8)."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.errors import TriggerError
from duly.triggers.stepped_days import month_length
from duly.triggers.wall_clock import instant, local
from duly.triggers.zones import load_zone, zone_name


def shift_wall(
    moment: datetime,
    *,
    tz: str | ZoneInfo,
    years: int = 0,
    months: int = 0,
    weeks: int = 0,
    days: int = 0,
) -> datetime:
    """The instant so many days away at the same wall-clock time.

    Unlike ``moment + timedelta(days=…)``, it keeps 18:00 at 18:00 across a clock change. A wall
    time that does not exist on the day is moved forward by the length of the gap; of two equal
    ones the first is meant; a day that the month does not have is its last.

    Args:
        moment: an aware datetime.
        tz: the zone whose wall clock is meant.
        years: how many years later, or earlier when negative; all units are added up.
        months: the same, in months.
        weeks: the same, in weeks.
        days: the same, in days of the calendar.

    Raises:
        NaiveDatetimeError: ``moment`` has no time zone.
        TriggerError: unknown zone, or the result lies outside the calendar.
    """
    zone = load_zone(zone_name(tz) or "UTC")
    wall = local(aware_utc(moment, "moment"), zone)
    try:
        year, month = divmod(wall.year * 12 + wall.month - 1 + years * 12 + months, 12)
        first = wall.replace(year=year, month=month + 1, day=1)
        wall = first.replace(day=min(wall.day, month_length(first)))
        return instant(wall + timedelta(weeks=weeks, days=days), zone)
    except (ValueError, OverflowError):
        raise TriggerError("the result lies outside the calendar") from None
