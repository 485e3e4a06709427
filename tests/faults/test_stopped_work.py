"""What becomes of a run whose function is in the middle of its work when its worker stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from duly import Discard, Retry, RetryAfter, Run, RunInterrupted, Scheduler, Snooze
from tests.support.waiting import wait_until
from tests.worker import process_tasks as tasks
from tests.worker.conftest import World, step

Stop = Callable[[Scheduler, str], None]


@pytest.fixture
def world(prepared_sqlite_url: str) -> Iterator[World]:
    """These tests do not depend on the database."""
    made = World(prepared_sqlite_url)
    yield made
    made.close()


def stop_meanwhile(scheduler: Scheduler, working: threading.Event, go_on: threading.Event) -> None:
    """Stop without grace while the function works, and let it go on once it has been asked."""
    step(scheduler)
    assert working.wait(240)
    stopper = threading.Thread(target=scheduler.stop, args=(0,))
    stopper.start()
    go_on.set()
    stopper.join(240)


@pytest.mark.parametrize("how", ["track", "check"])
def test_U03_a_run_that_stops_halfway_is_given_back(world: World, how: str) -> None:
    """``run.track`` and ``run.check()`` end the function, so that the other half is done later."""
    first, second = world.scheduler(), world.scheduler()
    working, go_on, rows = threading.Event(), threading.Event(), []

    def work(run: Run) -> None:
        def one(row: int) -> None:
            rows.append(row)
            if row == 3 and not go_on.is_set():
                working.set()
                wait_until(lambda: run.cancelled)

        if how == "track":
            for item in run.track(range(10)):
                with item as row:
                    one(row)
        else:
            for row in range(10):
                run.check()
                one(row)

    for scheduler in (first, second):
        scheduler.task()(work)
    run_id = first.enqueue("work")
    stop_meanwhile(first, working, go_on)
    run = first.run(run_id)
    assert (run.state, run.attempt, rows) == ("ready", 0, [0, 1, 2, 3])
    second.tick()
    assert second.run(run_id).state == "succeeded"
    assert rows[4:] == list(range(10))


def test_U03_except_exception_does_not_keep_a_run_that_must_stop(world: World) -> None:
    """A loop that swallows every `Exception` of a row is ended all the same."""
    scheduler = world.scheduler()
    working, go_on = threading.Event(), threading.Event()

    @scheduler.task()
    def work(run: Run) -> None:
        while True:
            try:
                run.check()
                working.set()
                go_on.wait(0.01)
            except Exception:  # noqa: BLE001 - what users write
                continue

    run_id = scheduler.enqueue(work)
    stop_meanwhile(scheduler, working, go_on)
    assert scheduler.run(run_id).state == "ready"


def test_U03_check_ends_a_cancelled_function_on_a_thread(world: World) -> None:
    """The slot is free as soon as the function calls ``run.check()``."""
    scheduler = world.scheduler()
    working, ended = threading.Event(), threading.Event()

    @scheduler.task()
    def work(run: Run) -> None:
        working.set()
        try:
            while True:
                run.check()
        except RunInterrupted:
            ended.set()
            raise

    run_id = scheduler.enqueue(work)
    step(scheduler)
    assert working.wait(240)
    scheduler.cancel(run_id)
    world.clock.advance(2)

    def cancelled() -> bool:
        step(scheduler)
        return scheduler.run(run_id).state == "cancelled" and not scheduler.in_flight()

    wait_until(cancelled)
    assert ended.is_set()


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        pytest.param(Discard("nobody needs it"), "discarded", id="Discard"),
        pytest.param(Snooze(seconds=60), "scheduled", id="Snooze"),
        pytest.param(RetryAfter(60), "scheduled", id="RetryAfter"),
    ],
)
def test_U03_a_signal_of_a_function_that_must_stop_is_obeyed(
    world: World, signal: Exception, state: str
) -> None:
    """The function has decided: its worker's stop does not turn that into another execution."""
    scheduler = world.scheduler()
    working, go_on = threading.Event(), threading.Event()

    @scheduler.task(retry=Retry(attempts=3))
    def work(run: Run) -> None:
        working.set()
        wait_until(lambda: run.cancelled)
        raise signal

    run_id = scheduler.enqueue(work)
    stop_meanwhile(scheduler, working, go_on)
    run = scheduler.run(run_id)
    assert run.state == state
    if state == "scheduled":
        assert run.due_at == world.clock.now() + timedelta(seconds=60)


@pytest.mark.processes
def test_U03_a_function_in_a_process_can_catch_what_interrupts_it(world: World) -> None:
    """It is `RunInterrupted` there too, so that one form of cleaning up fits every executor."""
    scheduler = Scheduler(world.url)
    run_id = scheduler.enqueue(scheduler.task(executor="process")(tasks.cleans_up).name)
    scheduler.start()
    wait_until(lambda: scheduler.run(run_id).counters.get("working"))
    scheduler.stop(grace=0)
    run = scheduler.run(run_id)
    assert run.state == "ready"
    assert "cleaned up" in [line.message for line in scheduler.run_log(run_id)]
