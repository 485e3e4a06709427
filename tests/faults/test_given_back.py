"""Runs that a worker claims and then gives back: they are as if it had never claimed them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row

from duly import Run
from tests.store.conftest import all_runs
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import assume_short_runs, look_for_strays
from tests.worker.test_low_water import Claimant, add

EXPIRES = timedelta(seconds=60)


class Busy:
    """A worker with one slot, whose first run executes while the others are prefetched."""

    def __init__(self, world: World) -> None:
        self.world, self.scheduler = world, world.scheduler(queues={"default": 1})
        self.leave, self.seen = threading.Event(), list[str]()

        @self.scheduler.task(name="work", expires=EXPIRES)
        def work(run: Run) -> None:
            self.seen.append(run.id)
            if len(self.seen) == 1:
                assert self.leave.wait(240)

        self.scheduler.tick()
        assume_short_runs(self.scheduler)
        self.runs = [self.scheduler.enqueue("work") for _ in range(4)]
        world.clock.advance(0.25)
        step(self.scheduler)
        wait_until(lambda: len(self.seen) == 1)

    def row(self, run_id: str) -> Row[Any]:
        return all_runs(self.scheduler.store)[run_id]

    def give_back(self) -> None:
        """Let the prefetched runs wait so long that they are given back."""
        self.world.clock.advance(2)
        step(self.scheduler)


@pytest.fixture
def world(prepared_database_url: str) -> Iterator[World]:
    made = World(prepared_database_url)
    yield made
    made.close()


@pytest.fixture
def busy(world: World) -> Busy:
    return Busy(world)


def test_E03_a_prefetched_run_is_given_back_as_it_was(busy: Busy) -> None:
    """Its due time, its time of expiry and its attempts are those from before the claim."""
    born = busy.world.clock.now() - timedelta(seconds=0.25)
    prefetched = busy.runs[1:]
    assert {busy.row(run_id).state for run_id in busy.runs} == {"running"}
    busy.give_back()
    for run_id in prefetched:
        row = busy.row(run_id)
        assert (row.state, row.due_at, row.expires_at) == ("ready", born, born + EXPIRES)
        assert (row.attempt, row.crashes, row.started_at, row.worker_id) == (0, 0, None, None)
    busy.leave.set()
    busy.scheduler.tick()
    assert busy.seen == busy.runs


def test_E03_a_run_that_is_given_back_keeps_its_place(busy: Busy) -> None:
    """It starts before the runs that were enqueued after it."""
    busy.give_back()
    busy.world.clock.advance(0.5)
    later = [busy.scheduler.enqueue("work") for _ in range(20)]
    busy.leave.set()
    wait_until(lambda: not busy.scheduler.in_flight())
    busy.scheduler.tick()
    assert busy.seen == [*busy.runs, *later]


def test_E03_a_run_that_is_given_back_still_expires(busy: Busy) -> None:
    """A call that may wait for a minute is not executed after an hour."""
    busy.give_back()
    busy.world.clock.advance(3600)
    busy.leave.set()
    wait_until(lambda: not busy.scheduler.in_flight())
    busy.scheduler.tick()
    assert [busy.scheduler.run(run_id).state for run_id in busy.runs] == [
        "succeeded", "missed", "missed", "missed",
    ]  # fmt: skip


def test_E03_a_stop_gives_back_what_waits_as_it_was_and_what_runs_without_expiry(
    busy: Busy,
) -> None:
    """What had started keeps its place too, but can no longer expire: that bounds the first start.

    Both are executed by the next worker, in their order.
    """
    born = busy.world.clock.now() - timedelta(seconds=0.25)
    busy.scheduler.stop(grace=0)
    first, *prefetched = map(busy.row, busy.runs)
    assert (first.state, first.due_at, first.expires_at) == ("scheduled", born, None)
    assert (first.attempt, first.occupied) == (0, True)
    for row in prefetched:
        assert (row.state, row.due_at, row.expires_at) == ("ready", born, born + EXPIRES)
    busy.leave.set()


def test_E03_low_water_marks_follow_what_is_given_back(world: World) -> None:
    """A worker's next claim finds the runs that it gave back, however full the queue is."""
    claimant = Claimant(world.scheduler())
    runs = add(claimant.store, 20)
    assert claimant.claim(2) == runs[:2]
    assert claimant.claim(2) == runs[2:4]
    look_for_strays(claimant.scheduler)
    assert claimant.claim(2) == runs[:2]
