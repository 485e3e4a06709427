"""The names that ``import duly`` offers."""

from __future__ import annotations

import inspect

import pytest

import duly

NAMES = [
    "Actor",
    "AttemptRecord",
    "Attention",
    "Backfill",
    "BackfillProgress",
    "BulkResult",
    "CatchUp",
    "Clock",
    "Concern",
    "Counts",
    "CreatedKey",
    "DeadLetters",
    "Discard",
    "DulyError",
    "Event",
    "Finding",
    "Health",
    "Heartbeat",
    "JobDeclaration",
    "JobDefaults",
    "JobFilters",
    "JobGroup",
    "JobLink",
    "JobRecord",
    "KeyLimit",
    "KeyRecord",
    "Load",
    "LogLine",
    "MissedRange",
    "Neighbours",
    "OutcomeCount",
    "Page",
    "ProcessJobRecord",
    "Progress",
    "QueueCounts",
    "QueueStatus",
    "Retry",
    "RetryAfter",
    "Run",
    "RunCounts",
    "RunFilters",
    "RunInterrupted",
    "RunOutcome",
    "RunRecord",
    "Scheduler",
    "Snooze",
    "Status",
    "Step",
    "Stopped",
    "SystemClock",
    "TaskFunction",
    "Throughput",
    "ThroughputPeriod",
    "Trigger",
    "UnfinishedRuns",
    "VirtualClock",
    "Watch",
    "WorkerRecord",
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
    "secret",
    "weekends",
]


def test_the_package_exports_these_names() -> None:
    """A public name is added or removed only on purpose."""
    assert sorted(duly.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_name_exists_and_is_documented(name: str) -> None:
    """Each exported name can be imported, has a docstring and is listed by ``dir``."""
    assert inspect.getdoc(getattr(duly, name))
    assert name in dir(duly)


def test_an_unknown_name_raises_as_usual() -> None:
    """A name that does not exist raises AttributeError, although names are loaded lazily."""
    with pytest.raises(AttributeError, match="no_such_name"):
        duly.no_such_name  # noqa: B018
