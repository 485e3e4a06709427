"""Situations that a review once found broken; each is a promise of the engine's design."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from duly import Event, Retry, Run, Scheduler, at, cron, every
from duly.store import runs
from duly.triggers import any_of
from duly.worker.wakeup import Wake
from tests.support.waiting import wait_until
from tests.worker.conftest import World, states, step
from tests.worker.internals import worker_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def state_now(scheduler: Scheduler, run_id: str) -> str:
    """Take one more step and return a run's state."""
    step(scheduler)
    return scheduler.run(run_id).state


class Held:
    """A task on a thread that continues until it is released, whatever it is asked."""

    def __init__(self, scheduler: Scheduler, **options: Any) -> None:
        self.started, self.leave = threading.Semaphore(0), threading.Event()
        self.calls = 0

        @scheduler.task(name="held", **options)
        def held() -> str:
            self.calls += 1
            self.started.release()
            assert self.leave.wait(240)
            return "done"

    def wait_started(self) -> None:
        """Wait until the task has been called once more."""
        assert self.started.acquire(timeout=240)


def test_a_start_after_a_stop_has_all_its_threads(world: World) -> None:
    """A function left over from before the stop takes no thread from the new start."""
    scheduler = world.scheduler()
    held = Held(scheduler)
    scheduler.task(name="quick")(lambda: "quick")
    scheduler.enqueue("held")
    step(scheduler)
    held.wait_started()
    scheduler.stop(grace=0)
    scheduler.pause_queue("default")
    step(scheduler)
    held.leave.set()
    wait_until(lambda: not scheduler.in_flight())
    scheduler.resume_queue("default")
    ids = [scheduler.enqueue("quick") for _ in range(3)]
    scheduler.tick()
    assert [scheduler.run(run_id).state for run_id in ids] == ["succeeded"] * 3


def test_a_timed_out_function_and_its_retry_never_run_side_by_side(world: World) -> None:
    """The retry waits until the first function has returned."""
    scheduler = world.scheduler()
    held = Held(scheduler, timeout=5, retry=Retry(attempts=2, wait=1, jitter=0))
    run_id = scheduler.enqueue("held")
    step(scheduler)
    held.wait_started()
    world.clock.advance(5)
    wait_until(lambda: state_now(scheduler, run_id) == "scheduled")
    world.clock.advance(10)
    step(scheduler)
    assert (held.calls, scheduler.run(run_id).state) == (1, "scheduled")
    held.leave.set()
    wait_until(lambda: state_now(scheduler, run_id) == "succeeded")
    assert held.calls == 2


def test_a_slot_occupied_on_a_stopped_worker_is_freed(world: World) -> None:
    """After a timeout, a stop and a cancellation the job fires again."""
    scheduler = world.scheduler()
    held = Held(scheduler, timeout=5, retry=Retry(attempts=2, wait=100, jitter=0))
    scheduler.add("held", every(seconds=60), id="j")
    scheduler.tick()
    world.clock.advance(60)
    step(scheduler)
    held.wait_started()
    world.clock.advance(5)
    run = scheduler.runs(job="j")[0]
    wait_until(lambda: state_now(scheduler, run.id) == "scheduled")
    scheduler.stop(grace=0)
    scheduler.cancel(run.id)
    held.leave.set()
    wait_until(lambda: not scheduler.workers())
    world.clock.advance(60)
    scheduler.tick()
    assert scheduler.runs(job="j")[0].state == "succeeded"


def test_tick_returns_while_a_timed_out_function_hangs(world: World) -> None:
    """A tick does not wait for functions whose runs have ended."""
    scheduler = world.scheduler()
    held = Held(scheduler, timeout=5)
    scheduler.enqueue("held")
    step(scheduler)
    held.wait_started()
    world.clock.advance(5)
    scheduler.tick()
    held.leave.set()


def test_one_run_with_an_unreadable_policy_blocks_no_other(world: World) -> None:
    """A newer version's policy is read as far as possible, and other runs are claimed as usual."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    strange, plain = scheduler.enqueue("work"), scheduler.enqueue("work")
    with scheduler.store.write() as tx:
        runs.change(tx, [strange], policy='{"timeout":-1,"moon":"full"}')
    scheduler.tick()
    assert scheduler.run(plain).state == scheduler.run(strange).state == "succeeded"


def test_a_listener_can_neither_end_nor_block_the_engine(prepared_sqlite_url: str) -> None:
    """``SystemExit`` in a listener is logged; ``stop()`` in one stops the scheduler."""
    scheduler = Scheduler(prepared_sqlite_url, heartbeat="fast")
    scheduler.task(name="work")(lambda: None)
    heard: list[Event] = []

    def stop_at_second(event: Event) -> None:
        heard.append(event)
        if len(heard) == 2:
            scheduler.stop()
        raise SystemExit

    scheduler.on("run.succeeded", stop_at_second)
    scheduler.start()
    for count in (1, 2):
        scheduler.enqueue("work")
        wait_until(lambda count=count: len(heard) == count)  # type: ignore[misc]
    wait_until(lambda: scheduler.health().engine == "stopped" and not scheduler.workers())


@pytest.mark.parametrize("ending", ["stop", "failure"])
def test_a_cancelled_run_is_not_tried_again(world: World, ending: str) -> None:
    """A cancelled run stays cancelled whether its worker stops or its attempt fails."""
    first, second = world.scheduler(), world.scheduler()
    started, leave = threading.Event(), threading.Event()

    @first.task(name="work", retry=Retry(attempts=3, wait=1))
    def work(run: Run) -> None:
        started.set()
        assert leave.wait(240)
        raise RuntimeError("no")

    run_id = first.enqueue("work")
    step(first)
    assert started.wait(240)
    second.cancel(run_id, actor="ana")
    if ending == "stop":
        first.stop(grace=0)
        leave.set()
    else:
        leave.set()
        wait_until(lambda: state_now(first, run_id) != "running")
    assert second.run(run_id).state == "cancelled"


def test_repeated_retries_by_hand_grant_the_same_attempts_each_time(world: World) -> None:
    """attempts=2 stays two for every retry by hand."""
    scheduler = world.scheduler()
    calls: list[int] = []

    @scheduler.task(retry=Retry(attempts=2, wait=1, jitter=0))
    def fail() -> None:
        calls.append(1)
        raise RuntimeError("no")

    run_id = scheduler.enqueue(fail)
    for turn in range(1, 5):
        scheduler.tick()
        world.forward(scheduler, 5)
        assert (scheduler.run(run_id).state, len(calls)) == ("failed", 2 * turn)
        scheduler.retry(run_id)


def test_editing_a_job_that_is_overdue_by_hours_decides_every_time(world: World) -> None:
    """Of 36,000 times under the old trigger one runs, and the others are recorded as missed."""
    scheduler = world.scheduler()
    odd, even = cron("1-59/2 * * * * *"), cron("0-58/2 * * * * *")

    @scheduler.job(any_of(odd, even), id="j")
    def work() -> None: ...

    scheduler.prepare()
    world.clock.advance(36_000)
    scheduler.edit("j", trigger=every(hours=1))
    gaps = sum(gap.count for gap in scheduler.missed("j"))
    assert gaps + len(scheduler.runs(job="j")) == 36_000
    assert [run.scheduled_for for run in scheduler.runs(job="j")] == [START + timedelta(hours=10)]


def test_editing_a_paused_job_records_the_times_of_the_pause(world: World) -> None:
    """Times of the old trigger are recorded as missed, and nothing runs while paused."""
    scheduler = world.scheduler()

    @scheduler.job(every(seconds=10), id="j")
    def work() -> None: ...

    scheduler.tick()
    scheduler.pause("j")
    world.clock.advance(95)
    scheduler.edit("j", trigger=every(hours=1))
    scheduler.tick()
    assert scheduler.runs(job="j") == []
    assert [(gap.count, gap.reason) for gap in scheduler.missed("j")] == [
        (9, "edited while it was paused")
    ]


def test_a_time_recorded_as_missed_is_not_decided_again(world: World) -> None:
    """A paused one-off may be set to the time that was just recorded as missed."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    once = at(START + timedelta(seconds=10))
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.tick()
    scheduler.pause("j")
    world.clock.advance(15)
    scheduler.edit("j", trigger=once)
    scheduler.resume("j")
    scheduler.tick()
    assert [(gap.first, gap.count) for gap in scheduler.missed("j")] == [
        (START + timedelta(seconds=10), 1)
    ]
    (run,) = scheduler.runs(job="j")
    assert (run.state, run.scheduled_for) == ("succeeded", START + timedelta(seconds=15))


def test_changed_bounds_move_the_next_fire(world: World) -> None:
    """start, end and max_fires hold from the edit on, and can bring a finished job back."""
    scheduler = world.scheduler()

    @scheduler.job(every(seconds=10), id="j", max_fires=1)
    def work() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 10)
    assert scheduler.job("j").state == "finished"
    scheduler.edit("j", max_fires=3)
    assert scheduler.job("j").next_fire_at == START + timedelta(seconds=20)
    scheduler.edit("j", start=START + timedelta(seconds=45))
    assert scheduler.job("j").next_fire_at == START + timedelta(seconds=50)
    scheduler.edit("j", start=None, end=START + timedelta(seconds=15))
    assert scheduler.job("j").state == "finished"


def test_no_expired_run_starts_however_many_there_are(world: World) -> None:
    """All of 700 runs that no worker started in time are missed."""
    scheduler = world.scheduler()
    ran: list[int] = []
    scheduler.task(name="work", expires=10)(lambda: ran.append(1))
    for _ in range(700):
        scheduler.enqueue("work", delay=60)
    world.clock.advance(3600)
    scheduler.tick()
    assert ran == []
    assert scheduler.status().last_day == {"missed": 700}


def test_two_outages_are_recorded_separately(world: World) -> None:
    """Each missed range covers its own times and no run between them."""
    scheduler = world.scheduler()

    @scheduler.job(every(seconds=10), id="j", catch_up="all", misfire_grace=25)
    def work() -> None: ...

    scheduler.tick()
    for _ in range(2):
        world.forward(scheduler, 100)
    ran = {run.scheduled_for for run in scheduler.runs(job="j", state="succeeded")}
    gaps = scheduler.missed("j")
    assert len(gaps) == 2
    for gap in gaps:
        inside = (gap.last - gap.first) / timedelta(seconds=10) + 1
        assert inside == gap.count
        assert not any(gap.first <= moment <= gap.last for moment in ran if moment)
    assert states(scheduler.runs(job="j")).count("succeeded") == 6


def test_an_idle_or_stopped_scheduler_takes_few_steps(prepared_sqlite_url: str) -> None:
    """The loop sleeps with nothing to do, and while it is stopped with work waiting."""
    scheduler = Scheduler(prepared_sqlite_url, heartbeat="fast")
    scheduler.task(name="work")(lambda: None)
    steps: list[int] = []
    worker = worker_of(scheduler)
    tick = worker.tick

    def counted(*, wait: bool = True) -> Wake:
        steps.append(1)
        return tick(wait=wait)

    worker.tick = counted  # type: ignore[method-assign]
    scheduler.stop_all(reason="test")
    scheduler.enqueue("work")
    scheduler.add("work", every(seconds=1), id="j", start=START)
    with scheduler.running():
        wait_until(lambda: scheduler.health().ok)
        before = len(steps)
        assert not threading.Event().wait(1.5)
        assert len(steps) - before < 12
