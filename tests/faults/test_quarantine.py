"""Runs that execute alone because they crashed their workers, under limits that are used up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from duly import Run, Scheduler
from duly.store import runs
from tests.worker.conftest import World


@pytest.fixture
def world(prepared_database_url: str) -> Iterator[World]:
    made = World(prepared_database_url)
    yield made
    made.close()


def use_up_key(scheduler: Scheduler) -> None:
    """Another worker executes a run with the key, and does not end."""
    with scheduler.store.write() as tx:
        ids = [scheduler.enqueue("work", concurrency_key="k", delay=9999, session=tx.conn)]
        runs.change(tx, ids, occupied=True)


def use_up_rate(scheduler: Scheduler) -> None:
    scheduler.set_queue("slow", rate=1, per=86400)
    scheduler.enqueue("work", queue="slow")
    scheduler.tick()


@pytest.mark.parametrize("use_up", [use_up_key, use_up_rate])
def test_E07_a_quarantined_run_that_may_not_start_does_not_hold_up_the_others(
    world: World, use_up: Callable[[Scheduler], None]
) -> None:
    """The oldest waits for its key or its rate; a younger one, in any queue, executes meanwhile."""
    scheduler, seen = world.scheduler(queues={"default": 2, "slow": 2}), list[str]()

    @scheduler.task(name="work")
    def work(run: Run) -> None:
        seen.append(run.id)

    scheduler.tick()
    use_up(scheduler)
    seen.clear()
    blocked = {"concurrency_key": "k"} if use_up is use_up_key else {"queue": "slow"}
    oldest = scheduler.enqueue("work", delay=1, **blocked)
    younger = [
        scheduler.enqueue("work", delay=2),
        scheduler.enqueue("work", delay=3, queue="slow" if use_up is use_up_key else "default"),
    ]
    with scheduler.store.write() as tx:
        runs.change(tx, [oldest, *younger], crashes=2, quarantined=True)
    for _ in range(4):
        world.forward(scheduler, 2)
    assert (seen, scheduler.run(oldest).state) == (younger, "ready")
