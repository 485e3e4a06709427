"""Triggers as a person writes them: a cron expression, an interval, a rule or an instant."""

from __future__ import annotations

import re
from datetime import datetime

from duly.errors import CronError, TriggerError
from duly.triggers.base import Trigger
from duly.triggers.crontab.trigger import cron
from duly.triggers.interval import every
from duly.triggers.once import at
from duly.triggers.recurrence.trigger import rrule

LONGEST = 4_096
"""The maximum number of characters."""

_PART = r"(?:(?:(\d+(?:\.\d+)?)\s*)?(weeks?|days?|hours?|minutes?|seconds?|min|[wdhms]))"
_EVERY = re.compile(rf"every\s+({_PART}(?:(?:\s*,\s*|\s+and\s+|\s+){_PART})*)", re.IGNORECASE)
_PARTS = re.compile(_PART, re.IGNORECASE)
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
    stripped = text.strip()
    if len(stripped) > LONGEST:
        raise TriggerError(f"a trigger as text may have {LONGEST} characters, not {len(stripped)}")
    first = stripped.partition(" ")[0].lower()
    if first == "every":
        return _interval(stripped)
    if first == "at":
        return at(_instant(stripped[2:].strip()))
    if "FREQ=" in stripped.upper():
        return rrule(stripped, tz=tz)
    try:
        return cron(stripped, tz=tz)
    except CronError as error:
        if any(character.isdigit() or character in "*@" for character in stripped):
            raise
        raise TriggerError(
            f"{stripped[:60]!r} is not a trigger; write a cron expression such as "
            "'0 9 * * mon-fri', an interval such as 'every 5 minutes', a rule such as "
            "'FREQ=DAILY', or 'at 2026-12-24T18:00+01:00'"
        ) from error


def _interval(text: str) -> Trigger:
    match = _EVERY.fullmatch(text)
    if match is None:
        raise TriggerError(
            f"{text[:60]!r} is not an interval; write for example 'every 5 minutes', "
            "'every hour' or 'every 1 h 30 min'"
        )
    units: dict[str, float] = {}
    for number, unit in _PARTS.findall(match[1]):
        name = _UNITS[unit[0].lower()]
        units[name] = units.get(name, 0) + float(number or 1)
    return every(
        weeks=units.get("weeks", 0),
        days=units.get("days", 0),
        hours=units.get("hours", 0),
        minutes=units.get("minutes", 0),
        seconds=units.get("seconds", 0),
    )


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise TriggerError(
            f"{text[:60]!r} is not an instant; write it as in 'at 2026-12-24T18:00+01:00'"
        ) from None
