"""Overlap is computed from run rows: it holds across retries, workers and processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from duly import Retry, Run, Scheduler, every
from duly.errors import OverlapError
from tests.support.waiting import wait_until
from tests.worker.conftest import World, states, step


class Gate:
    """A function whose run continues until the test opens the gate."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()

    def __call__(self) -> None:
        self.entered.release()
        assert self.leave.wait(240)

    def wait_entered(self) -> None:
        assert self.entered.acquire(timeout=240)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is opened at the end of the test."""
    made = Gate()
    yield made
    made.leave.set()


def slow(scheduler: Scheduler, gate: Gate, **options: Any) -> None:
    """Add a job that runs every 10 seconds and waits at the gate."""

    @scheduler.job(every(seconds=10), id="slow", **options)
    def hold() -> None:
        gate()


def begin(world: World, gate: Gate, **options: Any) -> Scheduler:
    """Start the job's first run, which waits at the gate."""
    scheduler = world.scheduler()
    slow(scheduler, gate, **options)
    scheduler.tick()
    world.clock.advance(10)
    step(scheduler)
    gate.wait_entered()
    return scheduler


def finish(scheduler: Scheduler, gate: Gate, expected: list[str]) -> None:
    """Open the gate and wait until the runs are as expected."""
    gate.leave.set()
    reach(scheduler, expected)


def reach(scheduler: Scheduler, expected: list[str]) -> None:
    """Step until the runs are as expected."""

    def done() -> bool:
        step(scheduler)
        return states(scheduler.runs(job="slow")) == expected

    wait_until(done, what=f"{expected}")


def test_skip_records_the_time_that_did_not_run(world: World, gate: Gate) -> None:
    """While a run is active the next time is recorded as skipped, with its reason."""
    scheduler = begin(world, gate)
    world.clock.advance(10)
    step(scheduler)
    skipped = scheduler.runs(job="slow")[0]
    assert skipped.state == "skipped"
    assert skipped.reason is not None
    assert "overlap=skip" in skipped.reason
    finish(scheduler, gate, ["succeeded", "skipped"])


def test_queue_keeps_one_waiting_and_skips_the_rest(world: World, gate: Gate) -> None:
    """The second time waits and runs afterwards; the third is skipped."""
    scheduler = begin(world, gate, overlap="queue")
    for _ in range(2):
        world.clock.advance(10)
        step(scheduler)
    assert states(scheduler.runs(job="slow")) == ["running", "scheduled", "skipped"]
    finish(scheduler, gate, ["succeeded", "succeeded", "skipped"])


def test_allow_runs_side_by_side(world: World, gate: Gate) -> None:
    """With ``overlap="allow"`` both runs are active at once."""
    scheduler = begin(world, gate, overlap="allow")
    world.clock.advance(10)
    step(scheduler)
    gate.wait_entered()
    assert states(scheduler.runs(job="slow")) == ["running", "running"]
    finish(scheduler, gate, ["succeeded", "succeeded"])


def test_max_running_limits_the_active_runs(world: World, gate: Gate) -> None:
    """With ``max_running=2`` two runs are active, and the third time is skipped."""
    scheduler = begin(world, gate, max_running=2)
    world.clock.advance(10)
    step(scheduler)
    gate.wait_entered()
    world.clock.advance(10)
    step(scheduler)
    assert states(scheduler.runs(job="slow")) == ["running", "running", "skipped"]
    finish(scheduler, gate, ["succeeded", "succeeded", "skipped"])


def test_cancel_running_stops_the_old_run_and_starts_the_new(world: World) -> None:
    """The active run is asked to stop and ends as cancelled; then the new one runs."""
    scheduler = world.scheduler()
    entered, left = threading.Semaphore(0), threading.Event()

    @scheduler.job(every(seconds=10), id="slow", overlap="cancel_running")
    def hold(run: Run) -> None:
        entered.release()
        wait_until(lambda: run.cancelled or left.is_set())

    scheduler.tick()
    world.clock.advance(10)
    step(scheduler)
    assert entered.acquire(timeout=240)
    world.clock.advance(10)
    step(scheduler)

    def replaced() -> bool:
        world.clock.advance(0.5)
        step(scheduler)
        return states(scheduler.runs(job="slow")) == ["cancelled", "running"]

    wait_until(replaced)
    left.set()
    reach(scheduler, ["cancelled", "succeeded"])


def test_a_run_that_waits_for_its_retry_is_still_active(world: World) -> None:
    """Between two attempts the next time is skipped: overlap holds across retries."""
    scheduler = world.scheduler()

    @scheduler.job(every(seconds=10), id="j", retry=Retry(attempts=2, wait=15, jitter=0))
    def fail() -> None:
        raise RuntimeError("no")

    scheduler.tick()
    world.forward(scheduler, 10)
    world.forward(scheduler, 10)
    assert states(scheduler.runs(job="j")) == ["scheduled", "skipped"]
    world.forward(scheduler, 5)
    assert states(scheduler.runs(job="j")) == ["failed", "skipped"]


def test_a_manual_run_while_another_is_active_is_refused(world: World, gate: Gate) -> None:
    """``run_now`` raises ``OverlapError`` and creates no run."""
    scheduler = begin(world, gate)
    with pytest.raises(OverlapError, match="already has an unfinished run"):
        scheduler.run_now("slow")
    assert len(scheduler.runs(job="slow")) == 1


def test_overlap_holds_for_a_second_worker(world: World, gate: Gate) -> None:
    """An active run on one worker makes another worker skip the next time."""
    begin(world, gate)
    second = world.scheduler()
    slow(second, gate)
    world.clock.advance(10)
    step(second)
    assert states(second.runs(job="slow")) == ["running", "skipped"]
