"""A paused job is paused, whatever else it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from duly import Scheduler, at, every
from duly.store import jobs, tables
from tests.worker.conftest import World, states

NEWER = '{"every_full_moon": true, "kind": "lunar"}'


def work() -> None:
    """Nothing."""


def store_trigger(scheduler: Scheduler, text: str) -> None:
    """Store the job's trigger as another version of Duly would write it."""
    with scheduler.store.write() as tx:
        tx.conn.execute(update(tables.job).where(tables.job.c.id == "j").values(trigger=text))


def unresolved(world: World) -> tuple[Scheduler, str]:
    """A job whose trigger this version cannot read; the trigger that it can."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(seconds=10), id="j")
    scheduler.tick()
    with scheduler.store.read() as conn:
        row = jobs.find(conn, "j")
        assert row is not None
    store_trigger(scheduler, NEWER)
    world.forward(scheduler, 10)
    assert scheduler.job("j").state == "unresolved"
    return scheduler, row.trigger


def deployed(world: World) -> Scheduler:
    """A new process, with the same code."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    return scheduler


def test_E09_a_job_that_cannot_be_read_can_be_paused(world: World) -> None:
    """It is counted, shown as paused, with the reason and with why it cannot be read."""
    scheduler, _readable = unresolved(world)
    assert scheduler.pause("j", reason="not now", actor="ana") == 1
    job = scheduler.job("j")
    assert (job.state, job.paused_by, job.paused_reason) == ("paused", "ana", "not now")
    assert job.unresolved_reason
    assert [found.id for found in scheduler.jobs(state="paused")] == ["j"]


def test_E09_a_deploy_does_not_start_a_paused_job(world: World) -> None:
    """A version that can read the job again leaves it paused; resuming lets it fire."""
    scheduler, readable = unresolved(world)
    scheduler.pause("j")
    store_trigger(scheduler, readable)
    newer = deployed(world)
    newer.tick()
    world.forward(newer, 60)
    assert newer.runs(job="j") == []
    assert newer.job("j").state == "paused"
    assert newer.resume("j") == 1
    newer.tick()
    job = newer.job("j")
    assert (job.state, job.unresolved_reason) == ("active", None)
    assert states(newer.runs(job="j"))[-1] == "succeeded"


def test_E09_a_resumed_job_that_still_cannot_be_read_says_so(world: World) -> None:
    """Resuming does not hide the problem."""
    scheduler, _readable = unresolved(world)
    scheduler.pause("j")
    scheduler.resume("j")
    job = scheduler.job("j")
    assert job.state == "unresolved"
    assert job.unresolved_reason
    assert scheduler.pause("j") == 1


def test_E09_a_declaration_does_not_start_a_paused_job(world: World) -> None:
    """The code that declares it changes; the job stays paused."""
    scheduler = world.scheduler()
    scheduler.job(every(seconds=10), id="j")(work)
    scheduler.tick()
    store_trigger(scheduler, NEWER)
    world.forward(scheduler, 10)
    scheduler.pause("j")
    newer = world.scheduler()
    newer.job(every(seconds=20), id="j")(work)
    newer.tick()
    world.forward(newer, 60)
    assert newer.job("j").state == "paused"
    assert newer.runs(job="j") == []


def test_E09_a_finished_job_can_be_paused(world: World) -> None:
    """A new time that is given to it later does not make it fire until it is resumed."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    now = scheduler.store.time.now()
    scheduler.add("work", at(now + timedelta(seconds=10)), id="j")
    scheduler.tick()
    world.forward(scheduler, 10)
    assert scheduler.job("j").state == "finished"
    assert scheduler.pause("j") == 1
    scheduler.edit("j", trigger=at(now + timedelta(seconds=30)))
    world.forward(scheduler, 60)
    assert len(scheduler.runs(job="j")) == 1
    assert scheduler.job("j").state == "paused"
    scheduler.resume("j")
    scheduler.tick()
    assert len(scheduler.runs(job="j")) == 2
    assert scheduler.job("j").state == "finished"


def test_E09_resuming_a_finished_job_finishes_it(world: World) -> None:
    """Nothing fires, and the job is finished as before."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", at(scheduler.store.time.now() + timedelta(seconds=10)), id="j")
    scheduler.tick()
    world.forward(scheduler, 10)
    scheduler.pause("j")
    assert scheduler.resume("j") == 1
    assert scheduler.job("j").state == "finished"


@pytest.mark.parametrize("again", ["pause", "resume"])
def test_E09_a_call_counts_only_what_it_did(world: World, again: str) -> None:
    """Pausing a paused job, or resuming one that is not paused, returns 0."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(hours=1), id="j")
    call: Any = getattr(scheduler, again)
    if again == "pause":
        call("j")
    assert call("j") == 0
