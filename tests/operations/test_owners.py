"""Owners of jobs and runs: who has what, and who sees what (security rule 12)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from duly import JobDefaults, JobGroup, Scheduler, VirtualClock, every
from duly.errors import ConfigurationError
from duly.store import tables
from tests.operations.conftest import START, Make, after, with_tasks


def owners(scheduler: Scheduler, job_id: str | None = None) -> set[str | None]:
    """The owners of a job's runs, or of all enqueued calls."""
    return {run.owner for run in scheduler.runs() if run.job_id == job_id}


def test_every_run_of_a_job_belongs_to_its_owner(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Whether it fires, is run by hand or for the past, or runs after another job."""
    scheduler.add("work", every(seconds=10), id="j", owner="acme", catch_up="none")
    scheduler.add("work", after=["j"], id="child", owner="bolt")
    clock.advance(100)
    scheduler.run_due()
    clock.advance(10)
    scheduler.run_due()
    scheduler.run_now("j")
    scheduler.backfill("j", START, after(60))
    scheduler.run_due()
    causes = {run.cause for run in scheduler.runs(job="j")}
    assert causes >= {"schedule", "manual", "backfill"}
    assert (owners(scheduler, "j"), owners(scheduler, "child")) == ({"acme"}, {"bolt"})
    assert [scheduler.job(job_id).owner for job_id in ("j", "child")] == ["acme", "bolt"]


def test_a_call_belongs_to_the_owner_that_it_names(make: Make) -> None:
    """One call, many calls, and calls of a scheduler whose runs all belong to one owner."""
    scheduler = with_tasks(make())
    scheduler.enqueue("work", owner="acme")
    scheduler.enqueue_many("work", [{"n": 1}], owner="bolt")
    scheduler.enqueue("work", unique_key="k", owner="core")
    assert owners(scheduler) == {"acme", "bolt", "core"}
    scheduler.enqueue("work")
    with_tasks(make(defaults=JobDefaults(owner="default"))).enqueue("work")
    assert owners(scheduler) == {"acme", "bolt", "core", None, "default"}


def test_a_declaration_and_its_group_name_an_owner(make: Make) -> None:
    """The job's own takes precedence over that of its group."""
    scheduler, group = make(), JobGroup(owner="acme")

    @group.job(every(hours=1), id="a")
    @group.job(every(hours=1), id="b", owner="bolt")
    def both() -> None: ...

    scheduler.include(group)
    scheduler.tick()
    assert {job.id: job.owner for job in scheduler.jobs()} == {"a": "acme", "b": "bolt"}


def test_jobs_are_stored_with_their_owners_and_change_them(scheduler: Scheduler) -> None:
    """An edit and a replacement give a job to another owner; runs keep the one that they had."""
    every_hour = every(hours=1)
    scheduler.add_many(
        [{"task": "work", "trigger": every_hour, "id": name, "owner": name} for name in "ab"]
    )
    run = scheduler.run_now("a")
    assert scheduler.edit("a", owner="c").owner == "c"
    scheduler.add("work", every_hour, id="b", replace=True)
    assert {job.id: job.owner for job in scheduler.jobs()} == {"a": "c", "b": None}
    assert [job.id for job in scheduler.jobs(owners=["c", "b"])] == ["a"]
    assert scheduler.run(run.id).owner == "a"


def test_lists_show_what_belongs_to_these_owners(scheduler: Scheduler) -> None:
    """Nobody's jobs and runs are shown to no owner; no owner at all sees nothing."""
    for job_id, owner in (("a", "acme"), ("b", "bolt"), ("n", None)):
        scheduler.add("work", every(hours=1), id=job_id, owner=owner)
        scheduler.run_now(job_id)
        scheduler.enqueue("work", owner=owner)
    for chosen, seen in ((["acme"], "a"), (["acme", "bolt"], "ab"), ([], ""), (["x"], "")):
        assert [job.id for job in scheduler.jobs(owners=chosen)] == list(seen)
        found = scheduler.runs(owners=chosen)
        assert {run.owner for run in found} <= set(chosen)
        assert sorted(run.job_id for run in found if run.job_id) == list(seen)
        assert len(found) == 2 * len(seen)
    assert len(scheduler.runs()) == 6
    assert len(scheduler.jobs(owners=None)) == 3


def test_a_page_of_an_owners_runs_is_full(scheduler: Scheduler) -> None:
    """The filter is applied by the database, before the limit."""
    for number in range(12):
        scheduler.enqueue("work", owner="acme" if number % 4 == 0 else "bolt")
    page = scheduler.runs(owners=["acme"], limit=2)
    assert (len(page), page.more) == (2, True)
    rest = scheduler.runs(owners=["acme"], limit=2, after=page[-1].id)
    assert (len(rest), rest.more) == (1, False)


def test_events_are_seen_by_the_owner_of_their_job_or_run(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """Not by others, and never those of queues and of the scheduler."""
    for job_id, owner in (("a", "acme"), ("b", "bolt")):
        scheduler.add("work", every(hours=1), id=job_id, owner=owner)
        scheduler.pause(job_id)
    run_id = scheduler.enqueue("work", owner="acme", delay=60)
    scheduler.cancel(run_id)
    scheduler.pause_queue("default")
    seen = [(event.kind, event.job_id) for event in scheduler.events(owners=["acme"])]
    assert seen == [("job.added", "a"), ("job.paused", "a"), ("run.cancelled", None)]
    newest = scheduler.events(owners=["acme", "bolt"], newest=True, limit=2)
    assert [event.kind for event in newest] == ["run.cancelled", "job.paused"]
    assert scheduler.events(owners=[]) == []


def test_who_takes_an_id_does_not_inherit_its_events(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """A job that is added under the id of a removed one shows only events since then."""
    scheduler.add("work", every(hours=1), id="j", owner="acme")
    scheduler.pause("j", reason="secret of acme")
    scheduler.remove("j")
    clock.advance(1)
    scheduler.add("work", every(hours=1), id="j", owner="bolt")
    assert [event.kind for event in scheduler.events(owners=["bolt"])] == ["job.added"]
    assert scheduler.events(owners=["acme"]) == []


def test_a_job_that_cannot_be_read_keeps_its_owner(scheduler: Scheduler) -> None:
    """Otherwise a newer version's option would show it to nobody."""
    scheduler.add("work", every(hours=1), id="j", owner="acme")
    with scheduler.store.engine.begin() as conn:
        conn.execute(update(tables.job).values(options='{"from_the_future": 1}'))
    assert scheduler.job("j").owner == "acme"


@pytest.mark.parametrize("owner", ["", "x" * 192, "a\nb", 5])
def test_an_owner_is_a_printable_name(scheduler: Scheduler, owner: Any) -> None:
    """As an id."""
    with pytest.raises(ConfigurationError, match="owner"):
        scheduler.add("work", every(hours=1), owner=owner)
    with pytest.raises(ConfigurationError, match="owner"):
        scheduler.enqueue("work", owner=owner, delay=timedelta(seconds=1))


@pytest.mark.parametrize("given", ["acme", [5]])
def test_owners_of_a_filter_are_a_list_of_names(scheduler: Scheduler, given: Any) -> None:
    """A name alone would be taken for its letters."""
    for query in (scheduler.jobs, scheduler.runs, scheduler.events):
        with pytest.raises(ConfigurationError, match="give a list of names"):
            query(owners=given)


def test_unstorable_names_of_a_filter_find_nothing(scheduler: Scheduler) -> None:
    """They come from outside, and raise no error of the database."""
    for query in (scheduler.jobs, scheduler.runs, scheduler.events):
        assert query(owners=["a\x00b", "\ud800"]) == []
