"""Limits of queues that an application sets at each of its starts."""

from __future__ import annotations

import pytest

from duly import Scheduler
from tests.worker.conftest import World


def started(scheduler: Scheduler) -> int:
    """Take a step; the number of runs that have started so far."""
    scheduler.tick()
    return len(scheduler.runs(state="succeeded", limit=100))


@pytest.fixture
def scheduler(world: World) -> Scheduler:
    """Twenty calls in a queue that may start five a minute."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.set_queue("default", rate=5, per=60)
    for _call in range(20):
        scheduler.enqueue("work")
    return scheduler


def test_E10_a_rate_that_is_set_again_is_not_refilled(world: World, scheduler: Scheduler) -> None:
    """An application that restarts five times in a minute starts five runs, not 25."""
    for _start in range(5):
        scheduler.set_queue("default", rate=5, per=60)
        assert started(scheduler) == 5
        world.clock.advance(1)
    world.clock.advance(60)
    assert started(scheduler) == 10


def test_E10_a_pause_and_a_limit_do_not_refill_it_either(scheduler: Scheduler) -> None:
    """Neither does pausing and resuming the queue, or a new limit beside the same rate."""
    assert started(scheduler) == 5
    scheduler.pause_queue("default")
    scheduler.resume_queue("default")
    scheduler.set_queue("default", rate=5, per=60, max_running=3)
    assert started(scheduler) == 5


def test_E10_a_higher_rate_keeps_what_was_used(scheduler: Scheduler) -> None:
    """Five of five were used; of eight, three are left."""
    assert started(scheduler) == 5
    scheduler.set_queue("default", rate=8, per=60)
    assert started(scheduler) == 8


def test_E10_a_lower_rate_keeps_what_was_used(world: World, scheduler: Scheduler) -> None:
    """Five of five were used; of two, none is left, and two are after a minute."""
    assert started(scheduler) == 5
    scheduler.set_queue("default", rate=2, per=60)
    assert started(scheduler) == 5
    world.clock.advance(60)
    assert started(scheduler) == 7


def test_E10_saying_the_same_again_is_not_recorded(scheduler: Scheduler) -> None:
    """The audit trail has the changes, not one entry for each start of each process."""
    scheduler.set_limit("k", 3)
    for _start in range(3):
        scheduler.set_queue("default", rate=5, per=60)
        scheduler.set_limit("k", 3)
    kinds = [event.kind for event in scheduler.events(limit=1000)]
    assert kinds.count("queue.changed") == 1
    assert kinds.count("limit.changed") == 1
