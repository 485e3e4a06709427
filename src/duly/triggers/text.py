"""Triggers as a person writes them: a cron expression, an interval, a rule or an instant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from duly.errors import CronError, TriggerError
from duly.triggers.base import Trigger
from duly.triggers.crontab.trigger import cron
from duly.triggers.interval import every
from duly.triggers.once import at
from duly.triggers.recurrence.trigger import rrule
from duly.triggers.wallclock.zones import zone_name

LONGEST = 4_096
"""The maximum number of characters."""

_PART = re.compile(
    r"(?:(\d+(?:\.\d+)?)\s*)?"
    r"(weeks?|w|days?|d|hours?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"\s*(?:,|and\b)?\s*", re.IGNORECASE)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def parse_trigger(text: str, *, tz: str | None = None) -> Trigger:
    """Return the trigger that a text describes.

    Args:
        text: a cron expression (``0 9 * * mon-fri``, ``@daily``), an interval (``every 5
            minutes``, ``every 1 h 30 min``), a rule of RFC 5545 (``FREQ=DAILY;BYHOUR=9``), or
            ``at`` and an instant in ISO 8601 with an offset (``at 2026-12-24T18:00+01:00``).
        tz: IANA zone of a cron expression or a rule; default: that of the scheduler.

    Raises:
        TriggerError: the text is none of these.
    """
    zone = zone_name(tz)  # also where no zone is needed, so that a wrong one is seen
    stripped = text.strip()
    if len(stripped) > LONGEST:
        raise TriggerError(f"a trigger as text may have {LONGEST} characters, not {len(stripped)}")
    first = stripped.partition(" ")[0].lower()
    if first == "every":
        return _interval(stripped)
    if first == "at":
        return at(_instant(stripped[2:].strip()))
    if "FREQ=" in stripped.upper():
        return rrule(stripped, tz=zone)
    try:
        return cron(stripped, tz=zone)
    except CronError as error:
        if any(character.isdigit() or character in "*@" for character in stripped):
            raise
        raise TriggerError(
            f"{stripped[:60]!r} is not a trigger; write a cron expression such as "
            "'0 9 * * mon-fri', an interval such as 'every 5 minutes', a rule such as "
            "'FREQ=DAILY', or 'at 2026-12-24T18:00+01:00'"
        ) from error


def _interval(text: str) -> Trigger:
    units = dict.fromkeys(_UNITS.values(), 0.0)
    for number, unit in _parts(text):
        units[_UNITS[unit[0].lower()]] += float(number or 1)
    return every(
        weeks=units["weeks"],
        days=units["days"],
        hours=units["hours"],
        minutes=units["minutes"],
        seconds=units["seconds"],
    )


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield the numbers and the units of an interval; one pattern for all would backtrack."""
    position = len("every")
    while position < len(text) or position == len("every"):
        match = _PART.match(text, _SEPARATOR.match(text, position).end())  # type: ignore[union-attr]
        if match is None:
            raise TriggerError(
                f"{text[:60]!r} is not an interval; write for example 'every 5 minutes', "
                "'every hour' or 'every 1 h 30 min'"
            )
        yield match[1], match[2]
        position = match.end()


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise TriggerError(
            f"{text[:60]!r} is not an instant; write it as in 'at 2026-12-24T18:00+01:00'"
        ) from None
