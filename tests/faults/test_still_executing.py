"""Functions that still execute after `stop` returned, in a process that lives on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from duly import Run, Scheduler
from duly.errors import DatabaseUnavailable
from duly.store import workers
from tests.support.processes import Children
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import die


class Stubborn:
    """A scheduler with a function that ignores the request to stop, and another worker."""

    def __init__(self, world: World, kind: str) -> None:
        self.world, self.scheduler, self.other = world, world.scheduler(), world.scheduler()
        self.started, self.leave, self.seen = threading.Event(), threading.Event(), list[str]()
        if kind == "thread":

            @self.scheduler.task(name="work", concurrency_key="k")
            def on_thread(run: Run) -> None:
                self.called(run)
                assert self.leave.wait(240)
        else:

            @self.scheduler.task(name="work", concurrency_key="k")
            async def on_loop(run: Run) -> None:
                self.called(run)
                while not self.leave.is_set():
                    try:
                        await asyncio.sleep(0.005)
                    except asyncio.CancelledError:
                        continue

        self.other.task(name="work", concurrency_key="k")(lambda: None)
        self.run_id = self.scheduler.enqueue("work")
        step(self.scheduler)
        assert self.started.wait(240)

    def called(self, run: Run) -> None:
        self.seen.append(run.id)
        self.started.set()

    def stop(self) -> None:
        self.scheduler.skip_grace()
        self.scheduler.stop(grace=0)

    def state(self) -> tuple[str, int]:
        run = self.scheduler.run(self.run_id)
        return run.state, run.attempt


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_E21_a_function_that_outlives_a_stop_keeps_its_place(world: World, kind: str) -> None:
    """Its run is given back, but neither that run nor another one of its key starts beside it.

    Its worker stays registered meanwhile, and leaves when the function has ended.
    """
    stubborn = Stubborn(world, kind)
    stubborn.stop()
    other, run_id = stubborn.other, stubborn.run_id
    assert stubborn.scheduler.in_flight() == [run_id]
    assert stubborn.state() == ("scheduled", 0)
    second = other.enqueue("work")
    world.clock.advance(1)
    other.tick()
    assert (stubborn.state()[0], other.run(second).state) == ("scheduled", "ready")
    assert [worker.draining for worker in other.workers() if worker.id != other.worker_id] == [True]
    stubborn.leave.set()
    wait_until(lambda: len(other.workers()) == 1)
    world.clock.advance(1)
    other.tick()
    assert stubborn.state() == ("succeeded", 1)
    assert other.run(second).state == "succeeded"
    assert stubborn.seen == [run_id]


@pytest.fixture
def local(prepared_sqlite_url: str) -> Iterator[World]:
    """A world for tests that do not depend on the database."""
    made = World(prepared_sqlite_url)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_E21_a_restart_finds_the_place_taken_and_frees_it_at_the_end(
    local: World, kind: str
) -> None:
    """The worker that starts again is the one that holds the place, under its former id."""
    stubborn = Stubborn(local, kind)
    scheduler, former = stubborn.scheduler, stubborn.scheduler.worker_id
    stubborn.stop()
    assert (scheduler.worker_id, scheduler.state) == (None, "stopped")
    step(scheduler)
    assert scheduler.worker_id == former
    assert stubborn.state() == ("scheduled", 0)
    assert not scheduler.workers()[0].draining or len(scheduler.workers()) == 1
    stubborn.leave.set()

    def done() -> bool:
        step(scheduler)
        return stubborn.state() == ("succeeded", 1)

    wait_until(done)
    assert stubborn.seen == [stubborn.run_id] * 2
    scheduler.stop()
    assert scheduler.workers() == []


def test_E21_two_functions_that_outlive_a_stop_free_their_places_one_by_one(local: World) -> None:
    """The first place is free when its own function ends, not with the worker's last function."""
    scheduler = local.scheduler()
    leave = {"a": threading.Event(), "b": threading.Event()}
    started = threading.Semaphore(0)

    @scheduler.task(name="work")
    def work(key: str) -> None:
        started.release()
        assert leave[key].wait(240)

    runs = {key: scheduler.enqueue("work", key, concurrency_key=key) for key in leave}
    step(scheduler)
    assert all(started.acquire(timeout=240) for _key in leave)
    scheduler.skip_grace()
    scheduler.stop(grace=0)
    other = local.scheduler()
    other.task(name="work")(lambda key: None)

    def succeeded(key: str) -> bool:
        local.clock.advance(1)
        other.tick()
        return other.run(runs[key]).state == "succeeded"

    leave["a"].set()
    wait_until(lambda: succeeded("a"))
    assert not succeeded("b")
    leave["b"].set()
    wait_until(lambda: succeeded("b"))


def test_E21_a_stop_that_the_database_prevents_is_finished_when_it_answers(
    local: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process lives on, and its heartbeat with it: the runs must not stay with it for ever."""
    scheduler, started, leave = local.scheduler(), threading.Event(), threading.Event()

    @scheduler.task()
    def work() -> None:
        started.set()
        assert leave.wait(240)

    run_id = scheduler.enqueue(work)
    step(scheduler)
    assert started.wait(240)

    def unreachable(*_: object) -> None:
        raise DatabaseUnavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("duly.worker.shutdown.give_back", unreachable)
        scheduler.skip_grace()
        scheduler.stop(grace=0)
        assert len(scheduler.workers()) == 1
        leave.set()
    local.clock.advance(60)
    wait_until(lambda: scheduler.workers() == [])
    scheduler.tick()
    assert scheduler.run(run_id).state == "succeeded"
    scheduler.stop()


EXIT = """
import threading
from duly import Scheduler

scheduler = Scheduler("sqlite:///exit.db")
started = threading.Event()

@scheduler.task(name="work", on_crash="fail")
def work():
    started.set()
    threading.Event().wait()

scheduler.enqueue(work)
scheduler.start()
assert started.wait(60)
scheduler.skip_grace()
scheduler.stop(grace=0)
print("stopped", scheduler.runs()[0].state)
"""


def test_E21_a_worker_that_dies_during_its_stop_is_lost(local: World) -> None:
    """Its run counts a crash, so the audit trail does not tell of an orderly stop."""
    stubborn = Stubborn(local, "thread")
    stubborn.other.tick()
    worker_id = stubborn.scheduler.worker_id or ""
    with stubborn.other.store.write() as tx:
        workers.stop_claiming(tx, worker_id)
    die(stubborn.scheduler)
    local.forward(stubborn.other, 90)
    stubborn.leave.set()
    assert stubborn.scheduler.run(stubborn.run_id).crashes == 1
    told = [event.kind for event in stubborn.other.events() if event.worker_id == worker_id]
    assert told[-1] == "worker.lost"
    assert "worker.stopped" not in told


def test_E21_an_exit_waits_for_no_function_that_has_outlived_the_stop(
    children: Children, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The next worker finds that the process has ended; that is not a crash of the run."""
    child = children.python("-c", EXIT)
    child.wait_for("stopped scheduled")
    assert child.wait() == 0
    scheduler = Scheduler(f"sqlite:///{tmp_path / 'exit.db'}")
    scheduler.task(name="work")(lambda: None)
    scheduler.tick()
    scheduler.tick()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    run = scheduler.runs()[0]
    assert (run.state, run.attempt, run.crashes) == ("succeeded", 1, 0)
    scheduler.stop()
