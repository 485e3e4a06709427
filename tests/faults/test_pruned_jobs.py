"""Pruning: what `remove` refuses, the passing of time does not do either."""

from __future__ import annotations

from datetime import timedelta

from duly import Scheduler, at, every
from duly.worker.pruning import prune
from tests.worker.conftest import World, states

LONG = timedelta(days=91)


def ids(scheduler: Scheduler) -> list[str]:
    return [job.id for job in scheduler.jobs()]


def quiet(world: World) -> Scheduler:
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.tick()
    return scheduler


def test_E08_a_finished_job_that_others_run_after_is_kept(world: World) -> None:
    """A child of two parents waits for both, also 91 days after one of them has finished."""
    scheduler = quiet(world)
    now = scheduler.store.time.now()
    scheduler.add("work", at(now + timedelta(seconds=10)), id="once")
    scheduler.add("work", every(days=100), id="often")
    scheduler.add("work", after=["once", "often"], id="child")
    scheduler.tick()
    world.clock.advance(10)
    scheduler.tick()
    world.clock.advance(LONG.total_seconds())
    prune(scheduler.store)
    assert ids(scheduler) == ["child", "often", "once"]
    scheduler.remove("child")
    prune(scheduler.store)
    assert ids(scheduler) == ["often"]


def test_E08_a_job_is_kept_until_long_after_its_last_time(world: World) -> None:
    """A job that was planned 100 days ahead is not deleted in the minute in which it runs."""
    scheduler = quiet(world)
    scheduler.add("work", at(scheduler.store.time.now() + timedelta(days=100)), id="planned")
    world.clock.advance(timedelta(days=100).total_seconds())
    scheduler.tick()
    assert states(scheduler.runs(job="planned")) == ["succeeded"]
    prune(scheduler.store)
    assert ids(scheduler) == ["planned"]
    world.clock.advance(LONG.total_seconds())
    prune(scheduler.store)
    assert ids(scheduler) == []


def test_E08_a_job_with_an_unfinished_run_is_kept(world: World) -> None:
    """A finished job whose last run waits in a paused queue is not deleted under it."""
    scheduler = quiet(world)
    scheduler.add("work", at(scheduler.store.time.now() + timedelta(seconds=10)), id="j")
    scheduler.pause_queue("default")
    world.clock.advance(10)
    scheduler.tick()
    world.clock.advance(LONG.total_seconds())
    prune(scheduler.store)
    assert ids(scheduler) == ["j"]
    scheduler.resume_queue("default")
    scheduler.tick()
    prune(scheduler.store)
    assert ids(scheduler) == []


def test_E08_children_among_pruned_jobs_leave_no_dependencies(world: World) -> None:
    """No dependency row outlives its job."""
    scheduler = quiet(world)
    soon = at(scheduler.store.time.now() + timedelta(seconds=10))
    scheduler.add("work", soon, id="j")
    world.clock.advance(10)
    scheduler.tick()
    world.clock.advance(LONG.total_seconds())
    prune(scheduler.store)
    scheduler.add("work", every(hours=1), id="j")
    scheduler.add("work", after=["j"], id="k")
    assert ids(scheduler) == ["j", "k"]
