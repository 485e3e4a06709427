"""What needs a person: the jobs that do not run as they should, and why."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from duly import Attention, Scheduler, VirtualClock, Watch, every
from duly.errors import ConfigurationError
from tests.operations.conftest import Make, with_tasks

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
