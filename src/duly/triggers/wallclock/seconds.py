"""Whole seconds and days since 1970, the units in which triggers calculate."""

from __future__ import annotations

from datetime import UTC, date, datetime

from duly.errors import NaiveDatetimeError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86400
UNIX_DAY = date(1970, 1, 1).toordinal()
EARLIEST = (date(1, 1, 3).toordinal() - UNIX_DAY) * DAY
LATEST = (date(9999, 12, 29).toordinal() - UNIX_DAY) * DAY
"""The instants between which the standard library can convert every zone."""


def year_of(second: int) -> int:
    """Return the year that contains a second."""
    return date.fromordinal(second // DAY + UNIX_DAY).year


def year_start(year: int) -> int:
    """Return the first second of a year, clamped to `EARLIEST` and `LATEST`."""
    if year <= 1:
        return EARLIEST
    return LATEST if year > 9999 else (date(year, 1, 1).toordinal() - UNIX_DAY) * DAY


def epoch_second(moment: datetime) -> int:
    """Return the whole seconds from 1970 to ``moment``, rounded down.

    Raises:
        NaiveDatetimeError: ``moment`` has no time zone.
    """
    try:
        since = moment - EPOCH
    except TypeError:
        raise NaiveDatetimeError(moment, "moment") from None
    return since.days * 86400 + since.seconds
