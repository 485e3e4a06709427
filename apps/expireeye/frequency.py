"""The frequency of the check, by name or as a crontab expression."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from duly import Trigger, cron

NAMED: dict[str, tuple[str, float]] = {
    "10s": ("*/10 * * * * *", 30),
    "minute": ("* * * * *", 300),
    "hour": ("0 * * * *", 300),
    "daily": ("0 0 * * *", 3600),
}
"""The crontab expression and the grace in seconds of each named frequency."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """The trigger of the check, and the seconds by which a tick may be late."""

    trigger: Trigger
    grace: float


def frequency(text: str, zone: str) -> Frequency:
    """Return the frequency that a name or a crontab expression of five or six fields means.

    Args:
        text: ``10s``, ``minute``, ``hour``, ``daily``, or for example ``0 6,18 * * *``.
        zone: the time zone of the fields.

    Raises:
        duly.CronError: the text is neither a name nor a valid crontab expression.
    """
    fields, grace = NAMED.get(text, (text, 0.0))
    trigger = cron(fields, tz=zone)
    return Frequency(trigger, grace or _usual_grace(trigger))


def name_of(trigger: Trigger | None) -> str | None:
    """Return the name of a trigger's frequency, or ``None`` if it has none."""
    return next((n for n, (text, _) in NAMED.items() if trigger and trigger.crontab == text), None)


def interval(trigger: Trigger, after: datetime) -> timedelta:
    """Return the time between the next two ticks after ``after``, or a day if there are fewer."""
    first = trigger.next_after(after)
    second = first and trigger.next_after(first)
    return second - first if first and second else timedelta(days=1)


def _usual_grace(trigger: Trigger) -> float:
    gap = interval(trigger, datetime.fromisoformat("2026-01-01T00:00:00Z"))
    return 30 if gap < timedelta(minutes=1) else 300 if gap < timedelta(days=1) else 3600
