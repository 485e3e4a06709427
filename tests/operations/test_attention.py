"""What needs a person: the jobs that do not run as they should, and why."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from duly import Attention, Scheduler, VirtualClock, Watch, at, every
from duly.errors import ConfigurationError
from duly.worker.pruning import prune
from tests.operations.conftest import Make, after, with_tasks

DAY = timedelta(days=1).total_seconds()


def concerns(found: Attention) -> list[tuple[str, str]]:
    """Return kinds and jobs, in their order."""
    return [(concern.kind, concern.job.id) for concern in found.concerns]


def test_nothing_needs_attention_when_all_is_well(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """A job that runs on time, and one that was paused just now, are no concern."""
    scheduler.add("work", every(minutes=1), id="j", watch=Watch(expected_every=600))
    scheduler.add("work", every(minutes=1), id="resting", paused=True)
    clock.advance(60)
    scheduler.tick()
    found = scheduler.attention()
    assert (found.problems, found.concerns, found.more) == ([], [], [])
    assert found.at == clock.now()


def test_the_gravest_kind_comes_first(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Late, then failing, then paused for long; each with what happened, and since when."""
    scheduler.add("work", every(minutes=1), id="old", paused=True)
    scheduler.add("fail", every(days=1), id="broken")
    clock.advance(2 * DAY)
    scheduler.tick()
    scheduler.add("work", every(minutes=1), id="fresh")
    clock.advance(70)
    found = scheduler.attention()
    assert concerns(found) == [("late", "fresh"), ("failing", "broken"), ("paused", "old")]
    late, failing, paused = found.concerns
    assert (late.what, late.since) == ("should have fired", late.job.next_fire_at)
    assert (failing.what, failing.since) == ("the last run failed", None)
    assert (paused.what, paused.since) == ("was paused", paused.job.paused_at)


def test_a_job_without_the_success_that_is_expected_is_silent(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """With the instant of the last success, and what is expected."""
    scheduler.add("work", every(minutes=1), id="j", max_fires=1, watch=Watch(expected_every=3600))
    scheduler.add("work", every(days=9), id="new", watch=Watch(expected_every=3600))
    clock.advance(60)
    scheduler.tick()
    success = clock.now()
    scheduler.add("work", every(days=9), id="j", replace=True, watch=Watch(expected_every=3600))
    clock.advance(3700)
    for _ in range(2):
        scheduler.tick()
        clock.advance(60)
    found = scheduler.attention()
    assert concerns(found) == [("silent", "j"), ("silent", "new")]
    last, never = found.concerns
    assert (last.what, last.since) == ("last succeeded", success)
    assert last.why == never.why == "a success is expected every 1 h"
    assert never.what == "has not succeeded since it was added"


def test_a_job_whose_queue_no_worker_serves_is_waiting(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """So is one whose queue is paused, with who paused it and why."""
    scheduler.add("work", every(minutes=1), id="lost", queue="mail")
    scheduler.add("work", every(minutes=1), id="held")
    scheduler.pause_queue("default", actor="ana", reason="moving")
    clock.advance(60)
    scheduler.tick()
    clock.advance(20)
    found = scheduler.attention()
    assert concerns(found) == [("waiting", "held"), ("waiting", "lost")]
    assert [concern.why for concern in found.concerns] == [
        "its queue 'default' is paused by ana: moving", "no worker serves its queue 'mail'",
    ]  # fmt: skip
    assert {concern.what for concern in found.concerns} == {"has a run that was due"}


def test_a_job_is_blocked_by_a_run_that_does_not_end(make: Make, clock: VirtualClock) -> None:
    """Later times are skipped; the run is named, so that it can be cancelled."""
    scheduler, end = make(queues={"default": 5}, heartbeat="fast"), Event()
    scheduler.task(name="hang")(lambda: end.wait(60) and None)
    scheduler.add("hang", every(minutes=1), id="j", overlap="skip")
    scheduler.add("hang", every(minutes=1), id="parallel", overlap="allow", max_running=1)
    clock.advance(60)
    scheduler.tick(wait=False)
    try:
        (run,) = scheduler.runs(job="j")
        for _ in range(70):
            clock.advance(60)
            scheduler.tick(wait=False)
        found = scheduler.attention()
        assert [(each.kind, each.job.id, each.run_id) for each in found.concerns] == [
            ("blocked", "j", run.id)
        ]
        assert found.concerns[0].since == run.started_at
    finally:
        end.set()


def leave_reminders(make: Make, clock: VirtualClock) -> Scheduler:
    """Start again an hour and a minute after three reminders were due; only one may be so late."""
    with_tasks(make()).add_many(
        [
            {
                "task": "work", "trigger": at(after(600)), "id": f"reminder-{number}",
                "args": {"n": number}, "tags": ["exchange:7"], "misfire_grace": grace,
            }
            for number, grace in enumerate((3600, 3600, 7200))
        ]
    )  # fmt: skip
    clock.advance(600 + 3660)
    scheduler = with_tasks(make())
    scheduler.tick()
    return scheduler


def test_a_single_time_that_was_missed_stays_visible(make: Make, clock: VirtualClock) -> None:
    """A job that fires once, and was too late when a worker came back, is shown with its reason."""
    scheduler = leave_reminders(make, clock)
    jobs = {job.id: job for job in scheduler.jobs(tag="exchange:7")}
    assert {job.state for job in jobs.values()} == {"finished"}
    missed = scheduler.runs(state="missed", tag="exchange:7")
    assert [(run.job_id, run.reason) for run in missed] == [
        (f"reminder-{number}", "misfire_grace is 3600 s; 3660 s late") for number in (1, 0)
    ]
    found = scheduler.attention().concerns
    assert [(each.kind, each.run_id) for each in found] == [("missed", run.id) for run in missed]
    assert (found[0].what, found[0].since, found[0].why) == (
        "was due", after(600), missed[0].reason,
    )  # fmt: skip
    assert scheduler.attention(limit=1).more == ["missed"]


def test_a_missed_time_is_made_up_for(make: Make, clock: VirtualClock) -> None:
    """By a retry of its run, or by another run of the finished job; then it is no concern."""
    scheduler = leave_reminders(make, clock)
    scheduler.retry(scheduler.runs(job="reminder-0")[0].id)
    scheduler.tick()
    assert [run.state for run in scheduler.runs(job="reminder-0")] == ["succeeded"]
    assert concerns(scheduler.attention()) == [("missed", "reminder-1")]
    scheduler.run_now("reminder-1")
    scheduler.tick()
    runs = scheduler.runs(job="reminder-1")
    assert [(run.state, run.cause, run.result) for run in runs] == [
        ("succeeded", "manual", 1), ("missed", "schedule", None),
    ]  # fmt: skip
    assert {job.state for job in scheduler.jobs(tag="exchange:7")} == {"finished"}
    assert concerns(scheduler.attention()) == []


def test_a_missed_time_is_kept_as_other_history(make: Make, clock: VirtualClock) -> None:
    """For 30 days; it is dealt with when its job is removed, or gets another time."""
    scheduler = leave_reminders(make, clock)
    scheduler.add("work", at(after(90 * DAY)), id="reminder-0", replace=True)
    assert concerns(scheduler.attention()) == [("missed", "reminder-1")]
    clock.advance(29 * DAY)
    prune(scheduler.store)
    assert concerns(scheduler.attention()) == [("missed", "reminder-1")]
    scheduler.remove("reminder-1")
    assert concerns(scheduler.attention()) == []
    assert len(scheduler.runs(state="missed")) == 2
    clock.advance(2 * DAY)
    prune(scheduler.store)
    assert scheduler.runs(state="missed") == []


def test_a_time_of_a_job_that_goes_on_is_no_concern(make: Make, clock: VirtualClock) -> None:
    """Its next time makes up for it."""
    scheduler = with_tasks(make())
    scheduler.add("work", every(hours=1), id="j", misfire_grace=60)
    clock.advance(3600 + 120)
    scheduler.tick()
    assert [run.state for run in scheduler.runs(job="j")] == ["missed"]
    assert concerns(scheduler.attention()) == []


def test_a_switched_off_scheduler_is_one_problem(scheduler: Scheduler, clock: VirtualClock) -> None:
    """And not one for each job that is late because of it."""
    scheduler.add("work", every(minutes=1), id="j")
    scheduler.stop_all(reason="moving")
    clock.advance(600)
    found = scheduler.attention()
    assert concerns(found) == []
    assert [problem.check for problem in found.problems] == ["switch"]


def test_more_than_the_limit_is_told(make: Make, clock: VirtualClock) -> None:
    """By kind, so that a list can say that it is not complete."""
    scheduler = with_tasks(make())
    for number in range(4):
        scheduler.add("work", every(minutes=1), id=f"j{number}")
    clock.advance(90)
    found = scheduler.attention(limit=3)
    assert (len(found.concerns), found.more) == (3, ["late"])
    assert scheduler.attention(limit=4).more == []
    with pytest.raises(ConfigurationError, match="limit"):
        scheduler.attention(limit=0)
