"""The instants at which the clock of a zone is set forward or back.

zoneinfo does not expose its list of changes, only the offset of any instant. So a year is scanned
in steps of three days, and a step over which the offset differs is bisected to the second of the
change: about 160 lookups, or 80 microseconds, for a year with two changes. The result is shared by
every trigger of the zone.
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
"""Seconds. The shortest time between two changes in the tz database is four days minus 20 minutes
(Freetown, September 1939), so a step contains at most one change and cannot hide two."""

# The last change that the tz database lists one by one is in 2087 (Morocco). Later years follow
# a yearly rule, which depends only on where the weekdays fall and whether February has 29 days.
_RULED = range(2101, 2129)
_MODEL_YEARS = {(date(y, 1, 1).weekday(), y % 4 == 0): y for y in _RULED}

MARGIN = 2 * DAY
"""The seconds around a year that are searched too, because special pieces may reach into it."""


class ClockChange(NamedTuple):
    """A change of a zone's clock.

    Attributes:
        at: the first second after the change, since 1970.
        before: the UTC offset before the change, in seconds.
        after: the UTC offset after the change, in seconds.
    """

    at: int
    before: int
    after: int


def clock_changes(tz: str, start: int, end: int) -> list[ClockChange]:
    """Return the changes of a zone in ``[start, end)``, within `EARLIEST` and `LATEST`."""
    zone = load_zone(tz)
    return [
        change
        for year in range(year_of(start), year_of(end) + 1)
        for change in changes_around(zone, year)
        if max(start, year_start(year)) <= change.at < min(end, year_start(year + 1))
    ]


@lru_cache(maxsize=8192)
def changes_around(zone: ZoneInfo, year: int) -> tuple[ClockChange, ...]:
    """Return the changes of a year and of the `MARGIN` before and after it. Results are cached."""
    start, end = year_start(year), year_start(year + 1)
    if year > _RULED[-1]:
        model_year = _MODEL_YEARS[date(year, 1, 1).weekday(), (end - start) // DAY == 366]
        shift = start - year_start(model_year)
        changes_then = changes_around(zone, model_year)
        return tuple(ClockChange(at + shift, *offsets) for at, *offsets in changes_then)
    end += MARGIN
    changes = _search(zone, max(start - MARGIN, EARLIEST), end)
    return tuple(change for change in changes if change.at < end)


def offset_at(zone: ZoneInfo, second: int) -> int:
    """Return the UTC offset of a zone at an instant, in seconds."""
    return _offset(zone, _as_fromutc_input(zone, second)) // _SECOND


def _search(zone: ZoneInfo, start: int, end: int) -> Iterator[ClockChange]:
    """Yield the changes in ``[start, end)``, and possibly one more within the last step."""
    low, step = _as_fromutc_input(zone, start), timedelta(0, _STEP)
    before = _offset(zone, low)
    for second in range(start, end, _STEP):
        high = low + step
        after = _offset(zone, high)
        if after != before:
            at = second + _seconds_until(zone, after, low)
            yield ClockChange(at, before // _SECOND, after // _SECOND)
        low, before = high, after


def _seconds_until(zone: ZoneInfo, offset: timedelta, low: datetime) -> int:
    """Return the seconds from ``low`` to the start of the offset that the step ends with."""

    def has_begun(second: int) -> bool:
        return _offset(zone, low + timedelta(0, second)) == offset

    return bisect_left(range(_STEP), True, key=has_begun)


def _as_fromutc_input(zone: ZoneInfo, second: int) -> datetime:
    """Return an instant as ``fromutc`` requires it: the time in UTC with the zone attached."""
    return datetime(1970, 1, 1, tzinfo=zone) + timedelta(0, second)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    """Return the offset at such an instant; datetimes of one zone subtract by their wall times."""
    return zone.fromutc(moment) - moment
