"""Each nominal time gets exactly one decision, whatever the loop or the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from duly import CatchUp, Scheduler, at, cron, every
from tests.worker.conftest import World, states

START = datetime(2026, 1, 1, tzinfo=UTC)


def declare(scheduler: Scheduler, **options: Any) -> list[datetime]:
    """Add a job that runs every 10 seconds and records only that it ran."""
    ran: list[datetime] = []

    @scheduler.job(every(seconds=10), id="j", **options)
    def note() -> None:
        ran.append(scheduler.clock.now())

    return ran


def test_each_time_runs_once_when_ticks_are_on_time(world: World) -> None:
    """Six ticks ten seconds apart make six runs with six nominal times."""
    scheduler = world.scheduler()
    ran = declare(scheduler)
    scheduler.tick()
    for _ in range(6):
        world.forward(scheduler, 10)
    scheduler.tick()
    assert len(ran) == 6
    nominal = [run.scheduled_for for run in reversed(scheduler.runs(job="j"))]
    assert nominal == [START + timedelta(seconds=10 * n) for n in range(1, 7)]


def test_a_second_worker_decides_nothing_again(world: World) -> None:
    """Two workers that tick at the same instants make one run for each time (promise 1)."""
    first, second = world.scheduler(), world.scheduler()
    ran = declare(first), declare(second)
    first.tick()
    second.tick()
    for _ in range(5):
        world.clock.advance(10)
        second.tick()
        first.tick()
    assert len(ran[0]) + len(ran[1]) == 5
    assert states(first.runs(job="j")) == ["succeeded"] * 5


def test_latest_runs_the_newest_and_records_the_others_as_one_range(world: World) -> None:
    """After an outage of an hour there is one run, and 359 times are recorded as missed."""
    scheduler = world.scheduler()
    declare(scheduler)
    scheduler.tick()
    world.forward(scheduler, 3600)
    (run,) = scheduler.runs(job="j")
    assert (run.scheduled_for, run.cause) == (START + timedelta(hours=1), "catch_up")
    (gap,) = scheduler.missed("j")
    assert (gap.first, gap.last, gap.count) == (
        START + timedelta(seconds=10),
        START + timedelta(seconds=3590),
        359,
    )
    assert scheduler.job("j").next_fire_at == START + timedelta(seconds=3610)


def test_rule_15_a_very_long_outage_is_decided_over_several_steps_as_one_range(
    world: World,
) -> None:
    """A job of every second, after 12 hours: one run, and one range of 43,199 missed times."""
    scheduler = world.scheduler()

    @scheduler.job(cron("* * * * * *"), id="s")
    def nothing() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 12 * 3600)
    (gap,) = scheduler.missed("s")
    assert gap.count == 12 * 3600 - 1
    assert [run.scheduled_for for run in scheduler.runs(job="s")] == [START + timedelta(hours=12)]


def test_all_runs_each_time_oldest_first_and_never_two_at_once(world: World) -> None:
    """With ``catch_up="all"`` every time runs, one after another."""
    scheduler = world.scheduler()
    declare(scheduler, catch_up="all")
    scheduler.tick()
    world.forward(scheduler, 50)
    runs = list(reversed(scheduler.runs(job="j")))
    assert [run.state for run in runs] == ["succeeded"] * 5
    assert [run.scheduled_for for run in runs] == [
        START + timedelta(seconds=10 * n) for n in range(1, 6)
    ]


def test_all_is_bounded_by_count_and_age(world: World) -> None:
    """Of 10 times, a limit of 6 and an age of 25 s leave 3 runs; the other 7 are missed."""
    scheduler = world.scheduler()
    declare(scheduler, catch_up=CatchUp("all", limit=6, max_age=25))
    scheduler.tick()
    world.forward(scheduler, 100)
    assert states(scheduler.runs(job="j")) == ["succeeded"] * 3
    assert sum(gap.count for gap in scheduler.missed("j")) == 7


def test_none_runs_only_what_is_on_time(world: World) -> None:
    """catch_up=none after an outage: nothing runs late, every time is recorded."""
    scheduler = world.scheduler()

    @scheduler.job(every(minutes=5), id="m", catch_up="none")
    def nothing() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 32 * 60)
    assert states(scheduler.runs(job="m")) == ["missed"]
    assert sum(gap.count for gap in scheduler.missed("m")) == 5
    world.forward(scheduler, 3 * 60 + 1)
    assert states(scheduler.runs(job="m")) == ["missed", "succeeded"]


def test_misfire_grace_makes_a_late_time_missed_with_its_reason(world: World) -> None:
    """A time that is later than the grace does not run, and its reason is recorded."""
    scheduler = world.scheduler()

    @scheduler.job(at(START + timedelta(seconds=60)), id="once", misfire_grace=30)
    def nothing() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 91)
    (run,) = scheduler.runs(job="once")
    assert run.state == "missed"
    assert run.reason is not None
    assert "misfire_grace is 30 s" in run.reason
    assert scheduler.job("once").state == "finished"


def test_misfire_grace_is_inclusive(world: World) -> None:
    """A time that is late by exactly the grace still runs."""
    scheduler = world.scheduler()

    @scheduler.job(at(START + timedelta(seconds=60)), id="once", misfire_grace=30)
    def nothing() -> None: ...

    scheduler.tick()
    world.forward(scheduler, 90)
    assert states(scheduler.runs(job="once")) == ["succeeded"]


def test_a_one_off_in_the_past_runs_at_once(world: World) -> None:
    """A reminder for a past instant is due, not lost."""
    scheduler = world.scheduler()

    @scheduler.task()
    def remind() -> None: ...

    scheduler.add(remind, at(START - timedelta(days=1)), id="late")
    scheduler.tick()
    assert states(scheduler.runs(job="late")) == ["succeeded"]


def test_start_end_and_max_fires_bound_the_schedule(world: World) -> None:
    """Nothing fires before start, after end, or more often than max_fires."""
    scheduler = world.scheduler()
    declare(scheduler, start=START + timedelta(seconds=25), end=START + timedelta(seconds=60))

    @scheduler.job(every(seconds=10), id="twice", max_fires=2)
    def nothing() -> None: ...

    scheduler.tick()
    for _ in range(10):
        world.forward(scheduler, 10)
    bounded = [run.scheduled_for for run in reversed(scheduler.runs(job="j"))]
    assert bounded == [START + timedelta(seconds=s) for s in (30, 40, 50, 60)]
    assert len(scheduler.runs(job="twice")) == 2
    assert scheduler.job("j").state == scheduler.job("twice").state == "finished"


def test_pause_holds_the_cursor_and_resume_decides_the_gap(world: World) -> None:
    """Times during a pause are decided by catch-up when the job is resumed."""
    scheduler = world.scheduler()
    declare(scheduler)
    scheduler.tick()
    scheduler.pause("j", reason="repair", actor="ana")
    world.forward(scheduler, 45)
    assert scheduler.runs(job="j") == []
    scheduler.resume("j")
    scheduler.tick()
    assert states(scheduler.runs(job="j")) == ["succeeded"]
    assert [gap.count for gap in scheduler.missed("j")] == [3]


def test_the_stored_switch_stops_every_worker(world: World) -> None:
    """Stopped: nothing fires and nothing is claimed; started: the gap is decided."""
    first, second = world.scheduler(), world.scheduler()
    declare(first)
    declare(second)
    first.tick()
    second.tick()
    first.stop_all(reason="maintenance", actor="ana")
    world.forward(second, 30)
    assert second.runs() == []
    second.start_all()
    second.tick()
    assert states(second.runs(job="j")) == ["succeeded"]


def test_jitter_delays_the_start_and_keeps_the_nominal_time(world: World) -> None:
    """A jittered run is due within its spread and before the next nominal time, reproducibly."""
    scheduler = world.scheduler()
    declare(scheduler, jitter=8, overlap="allow")
    scheduler.tick()
    for _ in range(5):
        world.forward(scheduler, 10)
    runs = [run for run in scheduler.runs(job="j") if run.scheduled_for]
    waits = [(run.due_at - run.scheduled_for).total_seconds() for run in runs if run.scheduled_for]
    assert len(set(waits)) == 5
    assert all(0 <= wait < 8 for wait in waits)


def test_a_job_that_cannot_be_decoded_affects_no_other_job(world: World) -> None:
    """A stored trigger that this version cannot read makes its own job unresolved, and no other."""
    from duly.store import jobs

    scheduler = world.scheduler()
    ran = declare(scheduler)

    @scheduler.task()
    def other() -> None: ...

    scheduler.add(other, every(seconds=10), id="broken")
    scheduler.tick()
    with scheduler.store.write() as tx:
        jobs.change(tx, "broken", {"trigger": '{"kind":"lunar"}'})
    world.forward(scheduler, 10)
    assert len(ran) == 1
    broken = scheduler.job("broken")
    assert broken.state == "unresolved"
    assert broken.unresolved_reason is not None
    assert "lunar" in broken.unresolved_reason


def test_a_clock_set_back_an_hour_fires_nothing_twice(world: World) -> None:
    """Cursors never move back, so that a repeated hour makes no second run."""
    scheduler = world.scheduler()
    ran = declare(scheduler)
    scheduler.tick()
    for _ in range(3):
        world.forward(scheduler, 10)
    world.clock.set(START - timedelta(hours=1))
    for _ in range(20):
        world.forward(scheduler, 10)
    assert len(ran) == 3


def test_expires_bounds_the_wait_for_the_first_start(world: World) -> None:
    """A run that no worker starts in time is recorded as missed, with the reason."""
    scheduler = world.scheduler()

    @scheduler.task(expires=60)
    def work() -> None: ...

    scheduler.pause_queue("default")
    run_id = scheduler.enqueue(work)
    world.forward(scheduler, 30)
    assert scheduler.run(run_id).state == "ready"
    world.forward(scheduler, 31)
    run = scheduler.run(run_id)
    assert (run.state, "expires" in (run.reason or "")) == ("missed", True)
