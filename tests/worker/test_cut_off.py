"""A worker whose database does not answer for 90 s, longer than its lease, and then recovers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from duly import Run, Scheduler, every
from duly.errors import DatabaseUnavailable
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import registration_of

CUT = 90


class Holder:
    """A worker whose runs of ``hold`` continue until they are released."""

    def __init__(self, world: World) -> None:
        self.scheduler: Scheduler = world.scheduler(queues={"default": 1, "quick": 4})
        self.held: list[Run] = []
        self.leave = threading.Event()

        @self.scheduler.task(name="hold")
        def hold(run: Run) -> None:
            self.held.append(run)
            assert self.leave.wait(240)

        self.scheduler.task(name="count", queue="quick")(lambda: None)

    def hold_one(self) -> str:
        """Enqueue a run that this worker claims, and return its id."""
        run_id = self.scheduler.enqueue("hold")
        step(self.scheduler)
        wait_until(lambda: self.held)
        return run_id

    def look_around(self) -> None:
        """Take one step, which fails while the database is away, and wait for the quick runs."""
        with suppress(DatabaseUnavailable):
            step(self.scheduler)
        wait_until(lambda: {run.id for run in self.held}.issuperset(self.scheduler.in_flight()))


@pytest.fixture(params=["postgresql", "mariadb"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A database with leases."""
    made = World(request.getfixturevalue(f"prepared_{request.param}_url"))
    yield made
    made.close()


def cut(patch: pytest.MonkeyPatch, scheduler: Scheduler) -> None:
    """Cut this worker off from the database."""

    def away(*_args: Any, **_options: Any) -> Any:
        raise DatabaseUnavailable("the database does not answer")

    for store in (scheduler.store, registration_of(scheduler).store):
        for name in ("read", "read_unprepared", "write"):
            patch.setattr(store, name, away)


def test_a_worker_cut_off_for_90_seconds_is_fenced_and_everything_is_decided_once(
    world: World,
) -> None:
    """Its run is rescued, the other worker's run continues, and each nominal time has one run."""
    lost, other = Holder(world), Holder(world)
    lost.scheduler.add("count", every(seconds=10), id="j", catch_up="all", overlap="allow")
    own, others = lost.hold_one(), other.hold_one()
    before = lost.scheduler.worker_id
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, lost.scheduler)
        for _ in range(CUT // 10):
            world.clock.advance(10)
            lost.look_around()
            other.look_around()
    assert lost.held[0].lease_lost
    other.leave.set()
    wait_until(lambda: not other.scheduler.in_flight())
    for _ in range(3):
        world.clock.advance(10)
        lost.look_around()
        other.look_around()
    assert lost.scheduler.worker_id not in (None, before)
    lost.leave.set()
    wait_until(lambda: not lost.scheduler.in_flight())
    for holder in (lost, other):
        holder.look_around()
    wait_until(lambda: not other.scheduler.in_flight())
    other.look_around()
    runs = {run_id: other.scheduler.run(run_id) for run_id in (own, others)}
    assert (runs[others].state, runs[others].attempt, runs[others].crashes) == ("succeeded", 1, 0)
    assert not any(run.lease_lost for run in other.held)
    assert (runs[own].state, runs[own].attempt, runs[own].crashes) == ("succeeded", 2, 1)
    counted = other.scheduler.runs(job="j", limit=100)
    assert len(counted) == len({run.scheduled_for for run in counted}) == CUT // 10 + 3
    assert {run.attempt for run in counted} == {1}
