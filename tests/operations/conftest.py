"""A scheduler on each database, stepped by hand under a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from duly import Scheduler, VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Scheduler]


def after(seconds: float) -> datetime:
    """So many seconds after the clock's start."""
    return START + timedelta(seconds=seconds)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def make(prepared_database_url: str, clock: VirtualClock) -> Iterator[Make]:
    """Makes schedulers as several processes, or several starts of one program, would."""
    made: list[Scheduler] = []

    def one(url: str = prepared_database_url, **options: Any) -> Scheduler:
        made.append(Scheduler(url, **{"clock": clock, **options}))
        return made[-1]

    yield one
    for scheduler in made:
        scheduler.stop(grace=0)
        scheduler.store.dispose()


@pytest.fixture
def scheduler(make: Make) -> Scheduler:
    """One scheduler that knows two tasks, ``work(n=0)`` and ``fail()``."""
    return with_tasks(make())


def with_tasks(scheduler: Scheduler) -> Scheduler:
    """The same scheduler, knowing ``work`` and ``fail``."""

    @scheduler.task()
    def work(n: int = 0) -> int:
        return n

    @scheduler.task()
    def fail() -> None:
        raise RuntimeError("it failed")

    return scheduler
