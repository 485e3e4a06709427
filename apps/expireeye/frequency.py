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
"""Cron text, and the seconds that a tick may be late, for each name."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """When the check runs and how late a tick may still be made up for (seconds)."""

    trigger: Trigger
    grace: float


def frequency(text: str, zone: str) -> Frequency:
    """The frequency of that name, or of five or six cron fields.

    Args:
        text: ``10s``, ``minute``, ``hour``, ``daily``, or for example ``0 6,18 * * *``.
        zone: the time zone in which wall-clock fields are meant.

    Raises:
        duly.CronError: neither a name nor cron fields.
    """
    fields, grace = NAMED.get(text, (text, 0.0))
    trigger = cron(fields, tz=zone)
    return Frequency(trigger, grace or _usual_grace(trigger))


def name_of(trigger: Trigger | None) -> str | None:
    """Which of the named frequencies a trigger is; ``None`` for any other."""
    return next((n for n, (text, _) in NAMED.items() if trigger and trigger.crontab == text), None)


def interval(trigger: Trigger, after: datetime) -> timedelta:
    """The time between the next two ticks after ``after``; a day when there are not two."""
    first = trigger.next_after(after)
    second = first and trigger.next_after(first)
    return second - first if first and second else timedelta(days=1)


def _usual_grace(trigger: Trigger) -> float:
    gap = interval(trigger, datetime.fromisoformat("2026-01-01T00:00:00Z"))
    return 30 if gap < timedelta(minutes=1) else 300 if gap < timedelta(days=1) else 3600
