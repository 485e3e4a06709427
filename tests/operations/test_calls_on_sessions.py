"""Every call that writes takes ``session=``, and exists if and only if the caller commits.

A call that writes has an ``actor``; a new one fails here until `CALLS` shows how to make it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from duly import Actor, Event, Scheduler, VirtualClock, cron, every, prepare_engine
from duly.errors import ConfigurationError, RunNotFound
from duly.store import tables
from duly.triggers import dates, weekends
from duly.worker.wakeup import Wakeup
from tests.operations.conftest import START, Make, with_tasks

DAILY = cron("0 9 * * *")
Call = Callable[[Scheduler, Any], object]


def _failed(scheduler: Scheduler) -> str:
    return scheduler.runs(state="failed")[0].id


CALLS: dict[str, Call] = {
    "enqueue": lambda s, x: s.enqueue("work", n=2, session=x),
    "enqueue_many": lambda s, x: s.enqueue_many("work", [{"n": 1}, {"n": 2}], session=x),
    "add": lambda s, x: s.add("work", DAILY, id="new", tags=["t"], session=x),
    "add_many": lambda s, x: s.add_many([{"task": "work", "trigger": DAILY}] * 2, session=x),
    "sync": lambda s, x: s.sync(
        [{"task": "work", "trigger": DAILY, "id": "new"}], tag="t", session=x
    ),
    "edit": lambda s, x: s.edit("job", trigger=every(hours=2), args={"n": 3}, session=x),
    "reset": lambda s, x: s.reset("declared", session=x),
    "pause": lambda s, x: s.pause("job", reason="why", session=x),
    "resume": lambda s, x: s.resume("paused", session=x),
    "remove": lambda s, x: s.remove("job", session=x),
    "run_now": lambda s, x: s.run_now("job", session=x),
    "backfill": lambda s, x: s.backfill("often", START, START + timedelta(minutes=9), session=x),
    "cancel": lambda s, x: s.cancel(s.runs(state="scheduled")[0].id, session=x),
    "reschedule": lambda s, x: s.reschedule(
        s.runs(state="scheduled")[0].id, at=START + timedelta(days=2), session=x
    ),
    "retry": lambda s, x: s.retry(_failed(s), session=x),
    "discard": lambda s, x: s.discard(_failed(s), reason="why", session=x),
    "set_calendar": lambda s, x: s.set_calendar("rest", weekends(), session=x),
    "remove_calendar": lambda s, x: s.remove_calendar("unused", session=x),
    "pause_queue": lambda s, x: s.pause_queue("default", reason="why", session=x),
    "resume_queue": lambda s, x: s.resume_queue("held", session=x),
    "set_queue": lambda s, x: s.set_queue("default", max_running=3, rate=5, session=x),
    "set_limit": lambda s, x: s.set_limit("key", 4, session=x),
    "remove_limit": lambda s, x: s.remove_limit("key", session=x),
    "create_key": lambda s, x: s.create_key("deploy", role="viewer", session=x),
    "revoke_key": lambda s, x: s.revoke_key(s.keys()[0].id, session=x),
    "stop_all": lambda s, x: s.stop_all(reason="again", session=x),
    "start_all": lambda s, x: s.start_all(session=x),
}

OWN_REASONS = {"pause": "why", "pause_queue": "why", "discard": "why", "stop_all": "again"}
"""The reasons that calls of `CALLS` give themselves."""


IN_TRANSACTIONS_OF_THEIR_OWN = {
    # They change many rows in several short transactions.
    *("cancel_runs", "retry_runs", "discard_runs"),
    # They belong to the operation of Duly, and to no change of the host's data.
    *("add_notice_rule", "remove_notice_rule", "retry_notice", "send_test_notice"),
    "drain_worker",
}


def writing() -> set[str]:
    """The names of all calls that write: those with an actor, but for the query of an actor's."""
    return {
        name
        for name, call in inspect.getmembers(Scheduler, inspect.isfunction)
        if not name.startswith("_") and "actor" in inspect.signature(call).parameters
    } - {"events"}


def test_every_call_that_writes_takes_a_session() -> None:
    """Users need not learn which of them do; the exceptions have a reason."""
    assert writing() == set(CALLS) | IN_TRANSACTIONS_OF_THEIR_OWN
    for name in CALLS:
        assert "session" in inspect.signature(getattr(Scheduler, name)).parameters, name


@pytest.fixture
def furnished(make: Make, clock: VirtualClock) -> Scheduler:
    """A scheduler with something for each call to change."""
    scheduler = with_tasks(make())

    @scheduler.job(DAILY, id="declared")
    def declared() -> None: ...

    scheduler.add("work", DAILY, id="job")
    scheduler.add("work", every(minutes=1), id="often")
    for name in ("rest", "unused"):
        scheduler.set_calendar(name, dates(START.date()))
    scheduler.add("work", DAILY.excluding("rest"), id="resting")
    scheduler.add("work", DAILY, id="paused")
    scheduler.pause("paused")
    scheduler.pause_queue("held")
    scheduler.set_limit("key", 3)
    scheduler.create_key("old", role="viewer")
    scheduler.enqueue("fail")
    scheduler.enqueue("work", delay=3600)
    scheduler.tick()
    scheduler.edit("declared", args={}, tags=["edited"])
    clock.advance(600)
    scheduler.tick()
    scheduler.stop_all()
    return scheduler


@pytest.fixture
def host(furnished: Scheduler) -> Iterator[Engine]:
    """The host's own engine."""
    engine = prepare_engine(create_engine(furnished.store.url))
    yield engine
    engine.dispose()


def contents(scheduler: Scheduler) -> dict[str, list[str]]:
    """Everything that is stored and committed."""
    with scheduler.store.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(select(table))))
            for table in tables.metadata.sorted_tables
        }


@pytest.mark.parametrize("name", CALLS)
def test_a_call_exists_if_and_only_if_the_caller_commits(
    furnished: Scheduler, host: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored, heard or woken before the commit, and never after a rollback."""
    heard: list[Event] = []
    woken: list[str] = []
    furnished.on("*", heard.append)
    monkeypatch.setattr(Wakeup, "set", lambda _wakeup: woken.append(name))
    before = contents(furnished)
    with Session(host) as session:
        CALLS[name](furnished, session)
        assert contents(furnished) == before
        session.rollback()
        assert contents(furnished) == before
        session.commit()
        assert (heard, woken) == ([], [])
        CALLS[name](furnished, session)
        assert (heard, woken) == ([], [])
        session.commit()
    assert contents(furnished) != before
    assert woken
    assert heard or name in {"enqueue", "enqueue_many"}  # their runs tell of themselves


class By:
    """A scheduler whose calls are made by an actor."""

    def __init__(self, scheduler: Scheduler, actor: Actor) -> None:
        self._scheduler, self._actor = scheduler, actor

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._scheduler, name)
        if "actor" not in inspect.signature(call).parameters:
            return call
        return lambda *args, **options: call(*args, actor=self._actor, **options)


@pytest.mark.parametrize("name", CALLS)
def test_a_change_is_on_record_with_its_actor_reason_and_request(
    furnished: Scheduler, name: str
) -> None:
    """Security rule 11; a call's own reason takes precedence over the actor's."""
    known = {event.id for event in furnished.events(limit=1000)}
    runs = {run.id for run in furnished.runs()}
    CALLS[name](By(furnished, Actor("ana", "she had to", "7f3c")), None)  # type: ignore[arg-type]
    events = [event for event in furnished.events(limit=1000) if event.id not in known]
    reason = OWN_REASONS.get(name, "she had to")
    assert {(event.actor, event.reason, event.request_id) for event in events} <= {
        ("ana", reason, "7f3c")
    }
    new = [run.actor for run in furnished.runs() if run.id not in runs]
    assert events or new == ["ana"] * len(new) != []


def test_a_run_by_hand_cannot_be_awaited_before_the_commit(
    furnished: Scheduler, host: Engine
) -> None:
    """Both together would wait for a run that no worker can see."""
    with Session(host) as session:
        with pytest.raises(ConfigurationError, match="either wait= or session="):
            furnished.run_now("job", wait=1, session=session)
        record = furnished.run_now("job", session=session)
        assert record.state == "ready"
        with pytest.raises(RunNotFound):
            furnished.run(record.id)
        session.commit()
    assert furnished.run(record.id).state == "ready"


def test_a_call_that_is_refused_leaves_nothing_in_the_callers_transaction(
    furnished: Scheduler, host: Engine
) -> None:
    """What it had written before the refusal is undone, although the caller commits."""
    before = contents(furnished)
    with Session(host) as session:
        with pytest.raises(Exception, match="'job'"):
            furnished.add_many(
                [{"task": "work", "trigger": DAILY, "id": job_id} for job_id in ("aaa", "job")],
                session=session,
            )
        session.commit()
    assert contents(furnished) == before
