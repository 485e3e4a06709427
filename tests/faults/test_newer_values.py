"""Values that a newer version of Duly has stored, beside workers of this version."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from duly import Scheduler, Watch, dates, every
from duly.errors import StateError, TriggerError
from duly.model.policy import JobOptions, decode_run_policy
from duly.store import runs, tables
from duly.store.transitions import Origin, new_run, wait_for_slot
from tests.worker.conftest import World, step

NEWER_OPTIONS = '{"during": "the full moon", "watch": {"expected_every": 60.0}}'
NEWER_CALENDAR = '{"kind": "lunar", "phase": "full"}'


def work() -> None:
    """Nothing."""


def stored(scheduler: Scheduler, name: str = "j") -> dict[str, Any]:
    """The job's row."""
    with scheduler.store.read() as conn:
        found = conn.execute(select(tables.job).where(tables.job.c.id == name)).one()
    return dict(found._mapping)


def store_options(scheduler: Scheduler, text: str = NEWER_OPTIONS) -> None:
    with scheduler.store.write() as tx:
        tx.conn.execute(update(tables.job).where(tables.job.c.id == "j").values(options=text))


@pytest.fixture
def scheduler(world: World) -> Scheduler:
    """A worker of this version, and a watched job whose options a newer version has written."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda n=0: None)
    scheduler.add("work", every(hours=1), id="j", watch=Watch(expected_every=60))
    scheduler.tick()
    store_options(scheduler)
    return scheduler


def test_E17_an_edit_does_not_replace_unknown_options_by_defaults(scheduler: Scheduler) -> None:
    """It is refused, with the reason, whatever it edits; nothing is written."""
    before = stored(scheduler)
    for edit in ({"args": {"n": 1}}, {"trigger": every(hours=2)}, {"tags": ["t"]}, {"priority": 3}):
        with pytest.raises(StateError, match=r"options of job 'j' cannot be read.*during"):
            scheduler.edit("j", **edit)
    assert stored(scheduler) == before


def test_E17_a_run_by_hand_is_not_started_with_defaults(scheduler: Scheduler) -> None:
    """Its timeout, its retries and its concurrency key are unknown here."""
    with pytest.raises(StateError, match="cannot be read"):
        scheduler.run_now("j")
    assert scheduler.runs(job="j") == []


def test_E17_a_watch_is_not_ended_by_a_worker_that_cannot_read_it(
    world: World, scheduler: Scheduler
) -> None:
    """The time of its next check stays, for the workers that know its rules."""
    before = stored(scheduler)
    assert before["watch_at"] is not None
    for _step in range(3):
        world.forward(scheduler, 120)
    assert stored(scheduler) == before


def test_E17_unreadable_watches_do_not_hold_up_others(
    world: World, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watched job is checked although more unreadable ones than a batch come first."""
    monkeypatch.setattr("duly.worker.watching.BATCH", 1)
    scheduler.add("work", every(hours=1), id="k", watch=Watch(expected_every=60))
    for _step in range(8):
        world.forward(scheduler, 60)
    assert "run.late" in {event.kind for event in scheduler.events(job="k", limit=100)}


def test_E17_a_declaration_does_not_undo_an_edit_that_it_cannot_read(world: World) -> None:
    """A person edited the options in a newer version; an older one declares the job differently."""
    scheduler = world.scheduler()
    scheduler.job(every(hours=1), id="j")(work)
    scheduler.tick()
    scheduler.edit("j", priority=3)
    store_options(scheduler)
    other = world.scheduler()
    other.job(every(hours=2), id="j")(work)
    other.tick()
    assert stored(other)["options"] == NEWER_OPTIONS
    kept = scheduler.events(kind="job.kept", job="j")
    assert [("cannot be read" in event.detail["reason"]) for event in kept] == [True]
    other.tick()
    assert len(scheduler.events(kind="job.kept", job="j")) == 1


def test_E17_an_unreadable_calendar_concerns_only_jobs_that_use_it(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """Others can be listed and used; it is reported and stays as it is."""
    scheduler.set_calendar("feasts", dates("2026-12-25"))
    with scheduler.store.write() as tx:
        row = {"name": "moons", "definition": NEWER_CALENDAR, "updated_at": tx.now}
        tx.conn.execute(insert(tables.calendar).values(row))
    with caplog.at_level(logging.WARNING, "duly"):
        assert list(scheduler.calendars()) == ["feasts"]
    assert "moons" in caplog.text
    scheduler.add("work", every(hours=1).excluding("feasts"), id="k")
    scheduler.set_calendar("feasts", dates("2026-12-26"))
    with pytest.raises(TriggerError, match="moons"):
        scheduler.add("work", every(hours=1).excluding("moons"), id="l")


def test_E17_waiting_runs_are_not_freed_by_a_default(world: World, scheduler: Scheduler) -> None:
    """max_running of the job is unknown here: a worker that knows it frees them."""
    with scheduler.store.write() as tx:
        uid = stored(scheduler)["uid"]
        row = new_run(
            tx.run_id(), Origin("manual", None, "j", uid), task="work", args="{}",
            options=JobOptions(), now=tx.now, due_at=tx.now,
        )  # fmt: skip
        wait_for_slot(row)
        runs.add(tx, [row])
    world.forward(scheduler, 10)
    assert scheduler.run(row["id"]).state == "scheduled"
    store_options(scheduler, '{"max_running": 2}')
    step(scheduler)
    assert scheduler.run(row["id"]).state != "scheduled"


def test_E17_a_run_keeps_the_policy_that_can_be_read() -> None:
    """One value of a newer version does not take the others with it."""
    policy = decode_run_policy('{"timeout": 60.0, "on_crash": "ask", "during": "the full moon"}')
    assert policy.timeout == 60
    assert policy.on_crash == "retry"
