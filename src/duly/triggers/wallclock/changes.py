"""When the clock of a zone is set forward or back.

zoneinfo keeps its list of changes to itself, but tells the offset of any instant. So a year is
looked through in steps of three days, and a step over which the offset differs is halved until
the second of the change is found: some 160 questions, or 80 microseconds, for a year with two
changes. What was found serves every trigger of the zone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from duly.triggers.wallclock.seconds import DAY, EARLIEST, year_of, year_start
from duly.triggers.wallclock.zones import load_zone

_SECOND = timedelta(0, 1)
_STEP = 3 * DAY
"""Seconds. The shortest time between two changes in the tz database is four days, less 20 minutes
(Freetown, September 1939). So a step holds one change at most, and none can hide in it."""

# The last change that the tz database lists one by one is in 2087 (Morocco). Later years follow
# a yearly rule, which depends only on where the weekdays fall and whether February has 29 days.
_RULED = range(2101, 2129)
_LIKE = {(date(y, 1, 1).weekday(), y % 4 == 0): y for y in _RULED}

MARGIN = 2 * DAY
"""How far beyond a year changes are looked for: their special pieces may reach into it."""


class ClockChange(NamedTuple):
    """One change of a zone's clock.

    Attributes:
        at: the first second after it, since 1970.
        before: the offset from UTC until then, in seconds.
        after: the offset from then on.
    """

    at: int
    before: int
    after: int


def clock_changes(tz: str, start: int, end: int) -> list[ClockChange]:
    """The changes in ``[start, end)``, which lies between `EARLIEST` and `LATEST`."""
    zone = load_zone(tz)
    return [
        change
        for year in range(year_of(start), year_of(end) + 1)
        for change in changes_around(zone, year)
        if max(start, year_start(year)) <= change.at < min(end, year_start(year + 1))
    ]


@lru_cache(maxsize=8192)
def changes_around(zone: ZoneInfo, year: int) -> tuple[ClockChange, ...]:
    """The changes of a year, and of `MARGIN` before and after it."""
    start, end = year_start(year), year_start(year + 1)
    if year > _RULED[-1]:
        like = _LIKE[date(year, 1, 1).weekday(), (end - start) // DAY == 366]
        by = start - year_start(like)
        return tuple(ClockChange(at + by, *offsets) for at, *offsets in changes_around(zone, like))
    end += MARGIN
    found = _search(zone, max(start - MARGIN, EARLIEST), end)
    return tuple(change for change in found if change.at < end)


def offset_at(zone: ZoneInfo, second: int) -> int:
    """The offset from UTC at an instant, in seconds."""
    return _offset(zone, _counted_in_utc(zone, second)) // _SECOND


def _search(zone: ZoneInfo, start: int, end: int) -> Iterator[ClockChange]:
    """The changes in ``[start, end)``, and perhaps one in the rest of the last step."""
    low, step = _counted_in_utc(zone, start), timedelta(0, _STEP)
    before = _offset(zone, low)
    for second in range(start, end, _STEP):
        high = low + step
        after = _offset(zone, high)
        if after != before:
            at = second + _seconds_until(zone, after, low)
            yield ClockChange(at, before // _SECOND, after // _SECOND)
        low, before = high, after


def _seconds_until(zone: ZoneInfo, offset: timedelta, low: datetime) -> int:
    """How long after ``low`` the offset begins that holds at the end of the step."""

    def begun(second: int) -> bool:
        return _offset(zone, low + timedelta(0, second)) == offset

    return bisect_left(range(_STEP), True, key=begun)


def _counted_in_utc(zone: ZoneInfo, second: int) -> datetime:
    """An instant as ``fromutc`` wants it: in UTC, though it carries the zone."""
    return datetime(1970, 1, 1, tzinfo=zone) + timedelta(0, second)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    """The offset at such an instant. Datetimes of one zone differ by what their clocks show."""
    return zone.fromutc(moment) - moment
