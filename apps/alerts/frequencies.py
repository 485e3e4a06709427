"""What users may write as the frequency of an alert: Duly's language, with a few more rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from fastapi import HTTPException

from apps.alerts.settings import Settings
from duly import Trigger, frequency
from duly.errors import FrequencyError
from duly.triggers import Frequency

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""The anchor of intervals that name none, so that a preview shows the times that will be."""

SHORTEST = timedelta(minutes=5)
_EXAMINED = 120  # a day of 96 times, and some of the next


def schedule_of(rule: Mapping[str, Any], settings: Settings) -> Frequency:
    """Return the trigger of a frequency, in its own zone or the default one.

    Raises:
        FrequencyError: the frequency breaks the rules of the language.
    """
    return frequency({"timezone": settings.default_timezone, **rule}).bind(anchor=EPOCH)


def check_frequency(rule: Mapping[str, Any], settings: Settings, now: datetime) -> Frequency:
    """Return the trigger of a frequency that a user has written.

    Raises:
        HTTPException: 422, which names the field; also if it is past, or too frequent.
    """
    try:
        trigger = schedule_of(rule, settings)
    except FrequencyError as error:
        raise HTTPException(422, f"frequency.{error.path}: {error.problem}") from None
    times = next_times(trigger, now, _EXAMINED)
    if not times:
        raise HTTPException(422, "frequency: it has no time in the future")
    if any(later - earlier < SHORTEST for earlier, later in pairwise(times)):
        raise HTTPException(422, "frequency: it runs more often than every 5 minutes")
    return trigger


def next_times(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """Return the next times of a trigger, at most ``count``."""
    times: list[datetime] = []
    following = trigger.next_after(after)
    while following is not None and len(times) < count:
        times.append(following)
        following = trigger.next_after(following)
    return times


def describe(trigger: Frequency) -> dict[str, Any]:
    """Return how a frequency is shown: crontab, zone, English text and warnings."""
    return {
        "crontab": trigger.crontab,
        "timezone": trigger.tz,
        "description": trigger.describe(),
        "warnings": list(trigger.warnings),
    }
