"""Expiry dates: conversion of user input to an instant in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_BARE = re.compile(r"\d{4}-\d\d-\d\d")
_FULL = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII
)


class BadDate(ValueError):
    """A text is not a valid expiry date; the message gives valid examples."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """An expiry date.

    Attributes:
        instant: in UTC; the product has expired once the clock is past it.
        date_only: whether a bare date was given, which lasts until the end of that day.
    """

    instant: datetime
    date_only: bool = False


def parse_expiry(text: str, zone: str) -> Expiry:
    """Parse a bare date, a local date and time, or an instant with an offset.

    Args:
        text: ISO 8601, for example ``2026-01-31``, ``2026-01-31 18:00`` or ``2026-01-31T18:00Z``.
        zone: the owner's time zone, which applies to a text without an offset. A local time that
            a clock change skips is read with the offset before the change; a repeated one means
            its first occurrence.

    Raises:
        BadDate: the text is none of these, or is outside the years 1 to 9999.
    """
    text = text.strip().upper()
    try:
        if _BARE.fullmatch(text):
            next_day = date.fromisoformat(text) + timedelta(days=1)
            midnight = datetime(next_day.year, next_day.month, next_day.day, tzinfo=ZoneInfo(zone))
            return Expiry(midnight.astimezone(UTC), date_only=True)
        if _FULL.fullmatch(text):
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=ZoneInfo(zone))
            return Expiry(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    raise BadDate(
        f"{text[:40]!r} is not a valid date; "
        "write 2026-01-31, 2026-01-31T18:00 or 2026-01-31T18:00:00Z"
    )


def last_good_day(expiry: Expiry, zone: str) -> date:
    """Return the bare date that was given, or else the local date of the instant."""
    local = expiry.instant.astimezone(ZoneInfo(zone))
    return (local - timedelta(microseconds=1)).date() if expiry.date_only else local.date()


def to_wire(moment: datetime) -> str:
    """Return an instant as the API writes it: in UTC with ``Z``, with a fraction if it has one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
