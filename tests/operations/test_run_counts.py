"""What the page of a job asks: counts by day, unfinished runs, neighbours and the declaration."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from duly import Scheduler, VirtualClock, cron, every
from duly.errors import ConfigurationError, JobNotFound, NaiveDatetimeError
from tests.operations.conftest import Make, after, with_tasks

HOUR = timedelta(hours=1)


def hours(count: int) -> list[datetime]:
    return [after(3600 * number) for number in range(count + 1)]


def test_runs_are_counted_by_period_and_state(scheduler: Scheduler, clock: VirtualClock) -> None:
    """A run belongs to the period in which it was created; the ends are half-open."""
    scheduler.add("work", every(minutes=10), id="good")
    scheduler.add("fail", every(minutes=30), id="bad")
    for _ in range(12):
        clock.advance(600)
        scheduler.tick()
    first, second, third = scheduler.run_counts("good", hours(3))
    assert (first.since, first.until) == (after(0), after(3600))
    assert [period.states for period in (first, second, third)] == [
        {"succeeded": 5}, {"succeeded": 6}, {"succeeded": 1},
    ]  # fmt: skip
    assert [period.states for period in scheduler.run_counts("bad", hours(2))] == [
        {"failed": 1}, {"failed": 2},
    ]  # fmt: skip
    assert not first.more
    assert [period.states for period in scheduler.run_counts("none", hours(2))] == [{}, {}]


def test_counts_stop_at_the_limit(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Of each period, the newest runs are counted; ``more`` tells that there are others."""
    scheduler.add("work", every(minutes=10), id="good")
    for _ in range(11):
        clock.advance(600)
        scheduler.tick()
    first, second = scheduler.run_counts("good", hours(2), limit=5)
    assert (first.states, first.more) == ({"succeeded": 5}, False)
    assert (second.states, second.more) == ({"succeeded": 6}, True)


def test_counts_are_of_the_given_owners(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Runs of an earlier owner of the same id are left out."""
    scheduler.add("work", every(minutes=10), id="job", owner="acme")
    clock.advance(600)
    scheduler.tick()
    scheduler.edit("job", owner="bolt")
    clock.advance(600)
    scheduler.tick()
    for owners, number in ((None, 2), (["acme"], 1), (["bolt"], 1), (["acme", "bolt"], 2)):
        (period,) = scheduler.run_counts("job", hours(1), owners=owners)
        assert sum(period.states.values()) == number, owners


@pytest.mark.parametrize(
    ("times", "error"),
    [
        ([], ConfigurationError),
        ([after(0)], ConfigurationError),
        ([after(1), after(0)], ConfigurationError),
        ([after(0), after(0)], ConfigurationError),
        ([after(number) for number in range(102)], ConfigurationError),
        ([datetime(2026, 1, 1), datetime(2026, 1, 2)], NaiveDatetimeError),  # noqa: DTZ001
    ],
)
def test_times_of_counts_are_checked(scheduler: Scheduler, times: Any, error: type) -> None:
    """They must be 2 to 101 aware instants in order."""
    with pytest.raises(error):
        scheduler.run_counts("job", times)


def test_unfinished_runs_and_the_progress_of_a_backfill(make: Make, clock: VirtualClock) -> None:
    """A backfill's runs count as its progress until the last of them has finished."""
    scheduler = with_tasks(make(queues={"default": 1}))
    scheduler.add("work", every(hours=1), id="hourly")
    scheduler.pause("hourly")
    clock.advance(10 * 3600)
    scheduler.resume("hourly")
    scheduler.tick()
    assert scheduler.unfinished("hourly").states == {}
    done = scheduler.backfill("hourly", after(0), after(8 * 3600), actor="ana")
    assert len(done.times) == 8
    progress = scheduler.unfinished("hourly").backfill
    assert progress is not None
    assert (progress.runs, progress.unfinished, progress.actor) == (8, 8, "ana")
    assert (progress.first, progress.last) == (after(0), after(7 * 3600))
    for run in scheduler.runs(job="hourly", order="oldest", limit=4)[1:]:
        scheduler.cancel(run.id)
    later = scheduler.unfinished("hourly")
    assert later.backfill is not None
    assert (later.backfill.runs, later.backfill.unfinished) == (8, 5)
    scheduler.run_due()
    assert scheduler.unfinished("hourly").backfill is None
    with pytest.raises(JobNotFound):
        scheduler.unfinished("none")


def test_neighbours_in_both_directions(scheduler: Scheduler) -> None:
    """Jobs and links up to a depth; what is beyond the breadth is counted."""
    scheduler.add("work", cron("0 3 * * *"), id="source")
    scheduler.add("work", after=["source"], id="extract")
    scheduler.add("work", after=["extract"], id="load")
    scheduler.add("work", after=["load", "extract"], on="always", id="report")
    for number in range(5):
        scheduler.add("work", after=["load"], id=f"mart {number}")
    found = scheduler.neighbours("load", breadth=4)
    assert [job.id for job in found.jobs] == [
        "extract", "mart 0", "mart 1", "mart 2", "mart 3", "source",
    ]  # fmt: skip
    assert [(link.parent, link.child, link.on) for link in found.links] == [
        ("source", "extract", "success"), ("extract", "load", "success"),
        *(("load", f"mart {number}", "success") for number in range(4)),
    ]  # fmt: skip
    assert (found.more_before, found.more_after) == (0, 2)
    near = scheduler.neighbours("load", depth=1, breadth=100)
    assert "source" not in {job.id for job in near.jobs}
    assert ("load", "report", "always") in {(x.parent, x.child, x.on) for x in near.links}
    alone = scheduler.neighbours("source", depth=1)
    assert [job.id for job in alone.jobs] == ["extract"]
    with pytest.raises(JobNotFound):
        scheduler.neighbours("none")
    with pytest.raises(ConfigurationError):
        scheduler.neighbours("load", depth=0)


def test_neighbours_of_other_owners_are_left_out(scheduler: Scheduler) -> None:
    """Neither their ids nor what lies behind them can be found out."""
    scheduler.add("work", cron("0 3 * * *"), id="theirs", owner="bolt")
    scheduler.add("work", after=["theirs"], id="ours", owner="acme")
    scheduler.add("work", after=["ours"], id="also ours", owner="acme")
    scheduler.add("work", after=["ours"], id="also theirs", owner="bolt")
    found = scheduler.neighbours("ours", owners=["acme"])
    assert [job.id for job in found.jobs] == ["also ours"]
    assert [(link.parent, link.child) for link in found.links] == [("ours", "also ours")]
    assert (found.more_before, found.more_after) == (0, 0)


def test_the_declaration_stays_beside_edits(make: Make) -> None:
    """`declaration` returns what code says, whatever was edited manually."""
    scheduler = make()

    @scheduler.job(cron("0 9 * * *"), id="letter", tags=["mail"], args={"to": "all"}, timeout=60)
    def send(to: str) -> None: ...

    scheduler.tick()
    scheduler.edit("letter", trigger=cron("0 10 * * *"), args={"to": "few"}, timeout=5)
    declared = scheduler.declaration("letter")
    assert declared is not None
    assert declared.trigger == cron("0 9 * * *")
    assert (declared.args, declared.options.timeout) == ({"to": "all"}, 60)
    assert (declared.task, declared.tags) == ("send", ("mail",))
    scheduler.add("send", every(hours=1), id="added", args={"to": "all"})
    assert scheduler.declaration("added") is None
    with pytest.raises(JobNotFound):
        scheduler.declaration("none")
