"""The names that ``import duly`` offers."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import duly
from duly import notify, triggers

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
    "Fail",
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
    "SyncResult",
    "SystemClock",
    "TaskFunction",
    "Throughput",
    "ThroughputPeriod",
    "Trigger",
    "UnfinishedRuns",
    "VirtualClock",
    "Watch",
    "WorkerRecord",
    "after",
    "all_of",
    "any_of",
    "at",
    "before",
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


@pytest.mark.parametrize("package", [duly, notify, triggers], ids=lambda each: each.__name__)
def test_an_unknown_name_raises_as_usual(package: ModuleType) -> None:
    """A name that does not exist raises AttributeError, although names are loaded lazily."""
    name = "no_such_name"
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute '{name}'"):
        getattr(package, name)


@pytest.mark.parametrize("package", [duly, notify, triggers], ids=lambda each: each.__name__)
def test_each_listed_name_can_be_imported(package: ModuleType) -> None:
    """``dir`` lists the names that the package exports, and each of them exists."""
    assert dir(package) == sorted(package.__all__)
    assert [name for name in dir(package) if not hasattr(package, name)] == []
