"""Backfill: what did not run in the past runs now, each nominal time once (engine rule 16)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from duly import Scheduler, VirtualClock, cron, every
from duly.errors import (
    ConfigurationError,
    JobNotFound,
    NaiveDatetimeError,
    RevisionConflict,
)
from duly.model.backfill import Backfill
from duly.triggers import Trigger
from tests.store.conftest import at_once
from tests.worker.conftest import World, states

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def after(hours: float) -> datetime:
    return START + hours * HOUR


def hourly(world: World, trigger: Trigger | None = None, **options: Any) -> Scheduler:
    """A scheduler with a job j, every hour; nothing has happened yet."""
    scheduler = world.scheduler()
    scheduler.task("work")(lambda: None)
    scheduler.add("work", trigger or every(hours=1), id="j", **options)
    return scheduler


def decisions(scheduler: Scheduler) -> dict[datetime, int]:
    """Return the number of decisions of each hour: runs and missed ranges that cover it."""
    found: dict[datetime, int] = {}
    for run in scheduler.runs(job="j", limit=1000):
        if run.scheduled_for is not None:
            found[run.scheduled_for] = found.get(run.scheduled_for, 0) + 1
    for gap in scheduler.missed("j", limit=1000):
        moments = [gap.first + n * HOUR for n in range(int((gap.last - gap.first) / HOUR) + 1)]
        assert len(moments) == gap.count
        for moment in moments:
            found[moment] = found.get(moment, 0) + 1
    return found


def each_hour_once(scheduler: Scheduler, first: int, last: int) -> None:
    """Assert that every hour from the first to the last has exactly one decision."""
    assert decisions(scheduler) == {after(n): 1 for n in range(first, last + 1)}


def test_rule_16_a_missed_range_is_run_as_a_whole(world: World) -> None:
    """After a day's outage, a backfill replaces the range of 23 missed hours with 23 runs."""
    scheduler = hourly(world)
    world.forward(scheduler, 24 * 3600)
    done = scheduler.backfill("j", after(1), after(24), actor="ana")
    assert (done.made, done.revived, done.settled, done.dry_run) == (23, 0, 0, False)
    assert done.times == tuple(after(n) for n in range(1, 24))
    assert scheduler.missed("j") == []
    scheduler.tick()
    made = [run for run in scheduler.runs(job="j") if run.cause == "backfill"]
    assert states(made) == ["succeeded"] * 23
    assert {(run.actor, run.priority) for run in made} == {("ana", 100)}
    each_hour_once(scheduler, 1, 24)
    (event,) = scheduler.events(kind="job.backfilled")
    assert (event.actor, event.detail["runs"]) == ("ana", 23)


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [
        (1, 6, [(6, 23, 18)]),
        (6, 24, [(1, 5, 5)]),
        (6, 9, [(1, 5, 5), (9, 23, 15)]),
        (5.5, 6.5, [(1, 5, 5), (7, 23, 17)]),
        (2, 23, [(1, 1, 1), (23, 23, 1)]),
    ],
)
def test_rule_16_a_part_of_a_range_leaves_the_rest_on_record(
    world: World, start: float, end: float, left: list[tuple[int, int, int]]
) -> None:
    """Each hour keeps exactly one decision, whichever part runs; a second call makes no runs."""
    scheduler = hourly(world)
    world.forward(scheduler, 24 * 3600)
    each_hour_once(scheduler, 1, 24)
    done = scheduler.backfill("j", after(start), after(end))
    assert [(gap.first, gap.last, gap.count) for gap in reversed(scheduler.missed("j"))] == [
        (after(first), after(last), count) for first, last, count in left
    ]
    each_hour_once(scheduler, 1, 24)
    scheduler.tick()
    again = scheduler.backfill("j", after(start), after(end))
    assert (again.times, again.settled) == ((), len(done.times))
    each_hour_once(scheduler, 1, 24)


def test_rule_16_later_misses_start_a_new_range(world: World) -> None:
    """Times that are missed later do not extend a range whose end was backfilled."""
    scheduler = hourly(world, catch_up="none")
    world.forward(scheduler, 10 * 3600 + 60)
    scheduler.backfill("j", after(8), after(11))
    world.forward(scheduler, 10 * 3600)
    assert [gap.count for gap in scheduler.missed("j")] == [9, 7]
    each_hour_once(scheduler, 1, 20)


def test_rule_16_missed_and_skipped_runs_are_revived_in_place(world: World) -> None:
    """Missed and skipped rows run under their own ids; failed and successful runs are untouched."""
    scheduler = hourly(world, misfire_grace=60)
    fail = [True]

    @scheduler.task("sometimes")
    def sometimes() -> None:
        if fail[0]:
            raise RuntimeError("no")

    world.forward(scheduler, 3600)
    world.forward(scheduler, 5400)  # 02:30: missed, half an hour late
    world.forward(scheduler, 1800)
    assert states(scheduler.runs(job="j")) == ["succeeded", "missed", "succeeded"]
    missed = scheduler.runs(job="j", state="missed")[0]
    done = scheduler.backfill("j", after(1), after(4))
    assert (done.made, done.revived, done.settled) == (0, 1, 2)
    scheduler.tick()
    revived = scheduler.run(missed.id)
    assert (revived.state, revived.cause, revived.reason) == ("succeeded", "backfill", None)
    each_hour_once(scheduler, 1, 3)


def test_rule_16_times_before_the_job_was_stored(world: World) -> None:
    """A new job can be backfilled for days before it was stored."""
    scheduler = hourly(world, cron("0 * * * *"))
    done = scheduler.backfill("j", after(-5), START)
    assert done.times == tuple(after(n) for n in range(-5, 0))
    scheduler.tick()
    assert states(scheduler.runs(job="j")) == ["succeeded"] * 5


def test_rule_16_a_dry_run_writes_nothing(world: World) -> None:
    """A dry run reports what the call would do, or why it would be refused."""
    scheduler = hourly(world)
    world.forward(scheduler, 24 * 3600)
    before = len(scheduler.events())
    seen = scheduler.backfill("j", after(1), after(24), dry_run=True, limit=5)
    assert (seen.made, seen.dry_run, len(seen.times)) == (23, True, 23)
    assert "limit=5" in seen.notes[0]
    assert len(scheduler.events()) == before
    assert len(scheduler.runs(job="j")) == 1
    with pytest.raises(ConfigurationError, match="would create 23 runs"):
        scheduler.backfill("j", after(1), after(24), limit=5)
    done = scheduler.backfill("j", after(1), after(24))
    assert (done.times, done.made) == (seen.times, seen.made)


def test_rule_16_beyond_history_only_by_force(world: World) -> None:
    """Beyond the retention of history, runs may have been pruned, so ``force=True`` is required."""
    scheduler = hourly(world, keep=2)
    world.forward(scheduler, 5 * 24 * 3600)
    with pytest.raises(ConfigurationError, match="pass force=True"):
        scheduler.backfill("j", after(1), after(3))
    assert "force=True" in scheduler.backfill("j", after(1), after(3), dry_run=True).notes[0]
    assert scheduler.backfill("j", after(1), after(3), force=True).made == 2
    assert scheduler.backfill("j", after(4 * 24), after(4 * 24 + 2)).made == 2
    each_hour_once(scheduler, 1, 5 * 24)


def test_rule_16_times_that_the_schedule_will_decide_are_left_to_it(world: World) -> None:
    """A range is cut at the cursor, with a note; a start beyond the cursor is refused."""
    scheduler = hourly(world)
    world.forward(scheduler, 24 * 3600)
    done = scheduler.backfill("j", after(20), after(48))
    assert (done.end, len(done.times)) == (after(24) + timedelta(microseconds=1), 4)
    assert "own schedule" in done.notes[0]
    with pytest.raises(ConfigurationError, match="not decided yet"):
        scheduler.backfill("j", after(24.5), after(48))
    scheduler.pause("j")
    world.forward(scheduler, 5 * 3600)
    with pytest.raises(ConfigurationError, match="not decided yet"):
        scheduler.backfill("j", after(25), after(29))
    scheduler.resume("j")
    scheduler.tick()
    each_hour_once(scheduler, 1, 29)


def test_rule_16_a_backfill_never_keeps_the_schedule_from_running(world: World) -> None:
    """While twenty backfill runs wait, the next hour is not skipped and runs before them."""
    scheduler = world.scheduler(queues={"other": 1})
    scheduler.task("work")(lambda: None)
    scheduler.add("work", every(hours=1), id="j", queue="slow")
    world.forward(scheduler, 24 * 3600)
    scheduler.cancel(scheduler.runs(job="j")[0].id)
    scheduler.backfill("j", START, after(21))
    assert states(scheduler.runs(job="j", state=["ready", "scheduled"])).count("ready") == 1
    world.forward(scheduler, 3600)
    scheduled = scheduler.runs(job="j")[0]
    assert (scheduled.cause, scheduled.state) == ("schedule", "scheduled")
    first = scheduler.runs(job="j", state="ready")[0]
    assert first.cause == "backfill"
    scheduler.cancel(first.id)
    scheduler.tick()
    assert scheduler.run(scheduled.id).state == "ready"
    world.forward(scheduler, 3600)
    assert scheduler.runs(job="j")[0].state == "skipped"


def test_rule_12_a_backfill_keeps_to_max_running(world: World) -> None:
    """Two run at a time with ``max_running=2``, all of them at once with ``overlap="allow"``."""
    for number, (options, ready) in enumerate([({"max_running": 2}, 2), ({"overlap": "allow"}, 5)]):
        scheduler = world.scheduler(queues={"other": 1}, name=f"s{number}")
        scheduler.task("work")(lambda: None)
        job = f"j{number}"
        scheduler.add("work", cron("0 * * * *"), id=job, **options)  # type: ignore[arg-type]
        scheduler.backfill(job, after(-5), START)
        assert states(scheduler.runs(job=job)).count("ready") == ready


def test_rule_16_two_backfills_at_once_make_each_run_once(world: World) -> None:
    """The second backfill finds the runs of the first and makes none."""
    first, second = hourly(world), world.scheduler()
    world.forward(first, 24 * 3600)
    second.prepare()
    done = at_once(
        lambda: first.backfill("j", after(1), after(20)),
        lambda: second.backfill("j", after(5), after(24)),
    )
    assert sum(len(one.times) for one in done) == 23
    each_hour_once(first, 1, 24)


def test_a_job_changed_meanwhile_is_not_backfilled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the trigger changes while times are enumerated, the call is refused and writes nothing."""
    scheduler = hourly(world)
    world.forward(scheduler, 24 * 3600)
    from duly.operations import backfill as commands

    find_decided = commands.find_decided

    def slow(*args: Any) -> Any:
        found = find_decided(*args)
        scheduler.edit("j", trigger=every(minutes=7))
        return found

    if not scheduler.store.dialect.many_writers:
        pytest.skip("SQLite: the edit would wait for the reader's own thread")
    monkeypatch.setattr(commands, "find_decided", slow)
    with pytest.raises(RevisionConflict):
        scheduler.backfill("j", after(1), after(24))
    assert len(scheduler.runs(job="j")) == 1


def test_a_range_of_another_trigger_stays_as_it_is(world: World) -> None:
    """Hours missed before an edit stay recorded when quarter-hours are backfilled."""
    scheduler = hourly(world)
    world.forward(scheduler, 24 * 3600)
    scheduler.edit("j", trigger=every(minutes=15, anchor=START))
    assert scheduler.backfill("j", after(2), after(3)).made == 4
    (gap,) = scheduler.missed("j")
    assert gap.count == 23


def test_bad_calls_are_refused(world: World) -> None:
    """Unknown jobs, naive times, empty periods, too many times, jobs without times."""
    scheduler = hourly(world, cron("* * * * * *"))
    scheduler.add("work", after=["j"], id="child")
    with pytest.raises(JobNotFound):
        scheduler.backfill("nobody", START, after(1))
    with pytest.raises(NaiveDatetimeError):
        scheduler.backfill("j", START.replace(tzinfo=None), after(1))
    with pytest.raises(ConfigurationError, match="is not before"):
        scheduler.backfill("j", START, START)
    with pytest.raises(ConfigurationError, match="more than 100,000"):
        scheduler.backfill("j", after(-48), START)
    with pytest.raises(ConfigurationError, match="runs after"):
        scheduler.backfill("child", after(-1), START)
    with pytest.raises(ConfigurationError, match="limit"):
        scheduler.backfill("j", after(-1), START, limit=20_000)


async def test_the_awaitable_twin(sqlite_url: str) -> None:
    """``await scheduler.aio.backfill(...)`` is the same call."""
    scheduler = Scheduler(sqlite_url, clock=VirtualClock())
    scheduler.task("work")(lambda: None)
    await scheduler.aio.add("work", cron("0 * * * *"), id="j")
    done: Backfill = await scheduler.aio.backfill("j", after(-2), START)
    assert done.made == 2
    await scheduler.aio.stop()


def test_children_run_after_backfilled_parents_too(world: World) -> None:
    """Dependent jobs run after each backfilled run, as after any other run."""
    scheduler = hourly(world, cron("0 * * * *"))
    scheduler.add("work", after=["j"], id="child")
    scheduler.backfill("j", after(-3), START)
    scheduler.tick()
    assert states(scheduler.runs(job="child")) == ["succeeded"] * 3
