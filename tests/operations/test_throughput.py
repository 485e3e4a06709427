"""How many runs end and how late they start, over time: exact, whether summed up or not."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from threading import Thread
from typing import Any, get_args

import pytest
from sqlalchemy import func, select

from duly import Retry, Scheduler, Throughput, VirtualClock, every
from duly.errors import ConfigurationError
from duly.model.lateness import BOUNDS
from duly.operations.throughput import Window
from duly.store import outcomes, throughput
from duly.store.tables import outcome_period
from tests.operations.conftest import Make, after, with_tasks

WINDOWS: tuple[Window, ...] = get_args(Window)


def nonempty(found: Throughput) -> list[tuple[Any, ...]]:
    """Return the periods in which runs ended, without their lateness."""
    return [(period.start, period.outcomes) for period in found.periods if period.outcomes]


def sum_up(scheduler: Scheduler) -> int:
    """Sum up as maintenance does, which waits for more rows than these tests store."""
    return scheduler.store.run(lambda tx: outcomes.sum_up(tx, 1000))


@pytest.fixture(autouse=True)
def sums_up_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "FEW", -1000)


def test_a_new_scheduler_has_periods_without_runs(scheduler: Scheduler) -> None:
    """They are evenly spaced and end with the present one, so that a chart has a time axis."""
    for window, count in zip(WINDOWS, (60, 96, 84), strict=True):
        found = scheduler.throughput(window)
        starts = [period.start for period in found.periods]
        width = timedelta(seconds=found.seconds)
        assert len(starts) == count
        assert {late - early for early, late in pairwise(starts)} == {width}
        assert starts[-1] <= found.at < starts[-1] + width
        assert (found.outcomes, found.lateness_p50, found.lateness_p99) == ({}, None, None)
        assert {str(period.outcomes) for period in found.periods} == {"{}"}


def test_runs_are_counted_in_the_period_in_which_they_ended(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Whether maintenance has summed them up or not."""
    scheduler.enqueue("work", args={})
    scheduler.enqueue("fail")
    scheduler.tick()
    clock.advance(120)
    assert sum_up(scheduler) > 0
    scheduler.enqueue("work", args={})
    scheduler.tick()
    clock.advance(60)
    expected = [(after(0), {"failed": 1, "succeeded": 1}), (after(120), {"succeeded": 1})]
    assert nonempty(scheduler.throughput("1h")) == expected
    sum_up(scheduler)
    assert nonempty(scheduler.throughput("1h")) == expected
    day = scheduler.throughput("24h")
    assert nonempty(day) == [(after(0), {"failed": 1, "succeeded": 2})]
    assert day.outcomes == scheduler.throughput("7d").outcomes == {"failed": 1, "succeeded": 2}


@pytest.mark.parametrize("seconds", [0, 0.009, 0.01, 0.3, 5, 5.000001, 4000, 700_000])
def test_lateness_is_the_time_from_when_a_run_was_due_until_it_started(
    scheduler: Scheduler, clock: VirtualClock, seconds: float
) -> None:
    """To within a bucket, on every database, with a result and without."""
    scheduler.task(name="quiet")(lambda: None)
    scheduler.enqueue("work", args={}, delay=10)
    scheduler.enqueue("quiet", delay=10)
    clock.advance(10 + seconds)
    scheduler.tick()
    found = scheduler.throughput("1h")
    assert found.outcomes == {"succeeded": 2}
    bound = next((bound for bound in BOUNDS if bound > seconds), BOUNDS[-1])
    assert found.lateness_p50 == found.lateness_p99 == bound
    assert found.periods[-1].lateness_p99 == bound


def test_a_run_that_never_started_has_no_lateness(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """A cancelled or missed one says nothing about how punctual the others are."""
    scheduler.cancel(scheduler.enqueue("work", args={}, delay=60))
    scheduler.add("work", every(minutes=1), id="j", catch_up="none", misfire_grace=1)
    clock.advance(630)
    scheduler.tick()
    found = scheduler.throughput("1h")
    assert found.outcomes.keys() == {"cancelled", "missed"}
    assert (found.lateness_p50, found.lateness_p99) == (None, None)


def test_a_retry_is_late_from_when_it_was_due(scheduler: Scheduler, clock: VirtualClock) -> None:
    """The delay before it is wanted."""
    attempts = []

    @scheduler.task(name="second", retry=Retry(2))
    def second() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("once")

    run_id = scheduler.enqueue("second")
    scheduler.tick()
    due = scheduler.run(run_id).due_at
    clock.advance((due - clock.now()).total_seconds() + 0.2)
    scheduler.tick()
    found = scheduler.throughput("1h")
    assert (found.outcomes, found.lateness_p99) == ({"succeeded": 1}, 0.25)


def test_two_processes_that_sum_up_at_once_lose_nothing(make: Make, clock: VirtualClock) -> None:
    """Neither do they count anything twice."""
    first, second = with_tasks(make()), with_tasks(make())
    for _ in range(3):
        first.cancel(first.enqueue("work", args={}, delay=60))
    with first.store.write() as tx:
        other = Thread(target=sum_up, args=(second,))
        assert outcomes.sum_up(tx, 1000) > 0
        other.start()
    other.join(30)
    assert not other.is_alive()
    first.cancel(first.enqueue("work", args={}, delay=60))
    others = [Thread(target=sum_up, args=(each,)) for each in (first, second)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(30)
    for window in WINDOWS:
        assert second.throughput(window).outcomes == {"cancelled": 4}
    assert [each.count for each in first.counts().outcomes] == [4]


def test_periods_that_no_window_shows_are_deleted(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """So that the table has a bounded size, and the totals stay."""
    scheduler.enqueue("work", args={})
    scheduler.tick()
    sum_up(scheduler)
    for hours, left in ((1, 3), (3, 2), (48, 1), (24 * 14, 0)):
        clock.advance(hours * 3600)
        scheduler.store.run(lambda tx: throughput.prune(tx, 500))
        with scheduler.store.read() as conn:
            rows = conn.execute(select(func.count()).select_from(outcome_period)).scalar_one()
        assert rows == left
    assert [each.count for each in scheduler.counts().outcomes] == [1]


def test_runs_leave_a_window_after_its_length(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Whether they were summed up or not."""
    scheduler.enqueue("work", args={})
    scheduler.tick()
    clock.advance(59 * 60)
    assert scheduler.throughput("1h").outcomes == {"succeeded": 1}
    clock.advance(60)
    assert scheduler.throughput("1h").outcomes == {}
    assert scheduler.throughput("24h").outcomes == {"succeeded": 1}
    sum_up(scheduler)
    assert scheduler.throughput("1h").outcomes == {}
    assert scheduler.throughput("24h").outcomes == {"succeeded": 1}


def test_an_unknown_window_is_refused(scheduler: Scheduler) -> None:
    """The error lists the known ones."""
    wrong: Any = "2h"
    with pytest.raises(ConfigurationError, match=r"'1h', '24h', '7d'"):
        scheduler.throughput(wrong)
