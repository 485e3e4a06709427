"""Draining one worker: it finishes what it executes, and others do the rest."""

from __future__ import annotations

import logging
import threading

import pytest

from duly import Scheduler, every
from duly.errors import WorkerNotFound
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import assume_short_runs, worker_of

BEAT = 2.0
"""Seconds, at least one interval of the heartbeat ``fast``."""


class Fleet:
    """Two workers, and a task that executes until `leave` is set."""

    def __init__(self, world: World) -> None:
        self.clock = world.clock
        self.leave = threading.Event()
        self.started: list[str] = []
        self.first, self.second = (
            self._with_tasks(world.scheduler(heartbeat="fast", queues={"default": 1}), name)
            for name in ("first", "second")
        )

    def _with_tasks(self, scheduler: Scheduler, name: str) -> Scheduler:
        @scheduler.task(name="hold")
        def hold() -> str:
            self.started.append(name)
            assert self.leave.wait(240)
            return name

        @scheduler.task(name="work")
        def work() -> str:
            return name

        return scheduler

    def drain_first(self) -> None:
        """Ask the first worker to drain, and let it find the request."""
        self.second.drain_worker(self.first.worker_id or "", actor="ana")
        self.clock.advance(BEAT)
        step(self.first)

    def is_draining(self) -> bool:
        """Return what other processes see of the first worker."""
        (shown,) = (w for w in self.second.workers() if w.id == self.first.worker_id)
        return shown.draining


@pytest.fixture
def fleet(world: World) -> Fleet:
    """Two workers on each database, of which the first is registered."""
    made = Fleet(world)
    made.first.tick()
    return made


def test_a_drained_worker_fires_and_claims_nothing(fleet: Fleet) -> None:
    """From the heartbeat that finds the request on; another worker does both."""
    fleet.drain_first()
    run_id = fleet.second.enqueue("work")
    fleet.second.add("work", every(seconds=5), id="often")
    for _step in range(3):
        fleet.clock.advance(5)
        fleet.first.tick()
    assert fleet.second.run(run_id).state == "ready"
    assert fleet.second.runs(job="often") == []
    assert fleet.is_draining()
    fleet.second.tick()
    assert fleet.second.run(run_id).result == "second"
    assert fleet.second.runs(job="often")


def test_a_time_that_was_foreseen_does_not_fire(fleet: Fleet) -> None:
    """A worker fires what its last step has foreseen before it asks again, but not if it drains."""
    fleet.second.add("work", every(seconds=2), id="often")
    fleet.first.tick()
    fleet.second.drain_worker(fleet.first.worker_id or "")
    fleet.clock.advance(BEAT)
    fleet.first.tick()
    assert fleet.second.runs(job="often") == []


def test_a_run_that_is_enqueued_in_the_process_waits_for_another(fleet: Fleet) -> None:
    """Neither its own calls nor its own thread start anything in a drained worker."""
    fleet.drain_first()
    run_id = fleet.first.enqueue("work")
    fleet.first.tick()
    assert fleet.second.run(run_id).state == "ready"


def test_a_running_function_finishes_and_the_log_says_when(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps its worker, beats go on, and its result counts."""
    caplog.set_level(logging.INFO, "duly.worker")
    run_id = fleet.first.enqueue("hold")
    step(fleet.first)
    wait_until(lambda: fleet.started == ["first"])
    fleet.drain_first()
    for _beat in range(30):  # longer than a lease
        fleet.clock.advance(BEAT)
        step(fleet.first)
    assert fleet.second.run(run_id).state == "running"
    assert [line for line in caplog.messages if "drain" in line] == [
        f"Worker {fleet.first.worker_id} was asked to drain: it takes no more runs."
    ]
    fleet.leave.set()
    fleet.first.tick()
    assert fleet.second.run(run_id).result == "first"
    assert [line for line in caplog.messages if "is drained" in line] == [
        f"Worker {fleet.first.worker_id} is drained: nothing executes in it."
    ]
    fleet.first.tick()
    assert len([line for line in caplog.messages if "is drained" in line]) == 1


def test_claims_that_have_not_started_are_given_back(fleet: Fleet) -> None:
    """They waited for the only place of the worker; another worker executes them."""
    assume_short_runs(fleet.first)
    held = fleet.second.enqueue("hold")
    waiting = [fleet.second.enqueue("work") for _run in range(3)]
    fleet.clock.advance(0.25)
    step(fleet.first)
    wait_until(lambda: fleet.started == ["first"])
    assert {fleet.second.run(run_id).state for run_id in waiting} == {"running"}
    fleet.second.drain_worker(fleet.first.worker_id or "")
    worker_of(fleet.first).lease.beat()  # now: after a second they would be given back anyway
    step(fleet.first)
    assert {fleet.second.run(run_id).state for run_id in waiting} == {"ready"}
    fleet.second.tick()
    assert {fleet.second.run(run_id).result for run_id in waiting} == {"second"}
    fleet.leave.set()
    fleet.first.tick()
    assert fleet.second.run(held).result == "first"


def test_it_stays_drained_until_it_stops(fleet: Fleet) -> None:
    """Also if it is fenced meanwhile and registers anew; a stopped one starts without it."""
    former = fleet.first.worker_id
    fleet.drain_first()
    worker_of(fleet.first).lease.fence(former or "", "a test")
    run_id = fleet.second.enqueue("work")
    fleet.first.tick()
    assert fleet.first.worker_id != former
    assert fleet.is_draining()
    assert fleet.second.run(run_id).state == "ready"
    fleet.first.stop()
    fleet.first.tick()
    assert not fleet.is_draining()
    assert fleet.second.run(run_id).result == "first"


def test_the_request_is_shown_at_once_and_recorded_once(fleet: Fleet) -> None:
    """With who asked; asking again changes nothing."""
    worker_id = fleet.first.worker_id or ""
    assert fleet.second.drain_worker(worker_id, actor="ana").draining
    assert fleet.is_draining()
    assert fleet.second.drain_worker(worker_id, actor="bob").draining
    (event,) = fleet.second.events(kind="worker.draining")
    assert (event.worker_id, event.actor) == (worker_id, "ana")


@pytest.mark.parametrize("worker_id", ["nobody", "", "01890000-0000-7000-8000-000000000000"])
def test_a_worker_that_does_not_exist(fleet: Fleet, worker_id: str) -> None:
    """The error names the id."""
    with pytest.raises(WorkerNotFound, match="no worker has the id"):
        fleet.second.drain_worker(worker_id)
    assert fleet.second.events(kind="worker.draining") == []


def test_draining_is_no_problem_but_work_that_nobody_does_is(fleet: Fleet) -> None:
    """While every worker drains, overdue work is reported, and why."""
    fleet.drain_first()
    assert fleet.first.health().problems == []
    fleet.first.enqueue("work")
    for _beat in range(10):
        fleet.clock.advance(BEAT)
        fleet.first.tick()
    (found,) = fleet.first.health().problems
    assert found.text == "1 run waits in the queue 'default', and every worker is draining"
