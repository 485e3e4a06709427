"""The public door."""

from __future__ import annotations

import inspect

import pytest

import duly

NAMES = [
    "CatchUp",
    "Clock",
    "Discard",
    "DulyError",
    "Event",
    "Heartbeat",
    "JobDefaults",
    "JobRecord",
    "Retry",
    "RetryAfter",
    "Run",
    "RunRecord",
    "Scheduler",
    "Snooze",
    "SystemClock",
    "Trigger",
    "VirtualClock",
    "Watch",
    "all_of",
    "any_of",
    "at",
    "blackout",
    "calendar",
    "closed_hours",
    "cron",
    "dates",
    "every",
    "explain",
    "frequency",
    "holidays",
    "prepare_engine",
    "rrule",
    "weekends",
]


def test_the_door_lists_these_names() -> None:
    """A name is added to Duly or taken away on purpose only."""
    assert sorted(duly.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_explained(name: str) -> None:
    """Each exported name can be had, says what it is for, and is listed by ``dir``."""
    assert inspect.getdoc(getattr(duly, name))
    assert name in dir(duly)


def test_another_name_is_refused_as_usual() -> None:
    """A name that does not exist is an AttributeError, although names are loaded late."""
    with pytest.raises(AttributeError, match="no_such_name"):
        duly.no_such_name  # noqa: B018
