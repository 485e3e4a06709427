"""Calls on a caller's session that reads an older snapshot of the database.

MariaDB's default isolation is REPEATABLE READ: a transaction reads the state in which it first read
anything. What a call decides must follow from what is committed now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from duly import Scheduler, VirtualClock, cron, every
from duly.errors import (
    DuplicateJob,
    JobInUse,
    OverlapError,
    TransactionError,
)
from duly.store import tables
from duly.triggers import dates
from tests.operations.conftest import with_tasks

DAILY = cron("0 9 * * *")
NAMED = DAILY.excluding("feasts")


@pytest.fixture(params=["mariadb", "postgresql"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[Scheduler]:
    """A scheduler on each database whose transactions may read an older snapshot."""
    url = request.getfixturevalue(f"prepared_{request.param}_url")
    made = with_tasks(Scheduler(url, clock=VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))))
    made.prepare()
    yield made
    made.stop(grace=0)
    made.store.dispose()


@pytest.fixture
def host(scheduler: Scheduler) -> Iterator[Engine]:
    """The host's own engine under REPEATABLE READ."""
    engine = create_engine(scheduler.store.url, isolation_level="REPEATABLE READ")
    yield engine
    engine.dispose()


@dataclass
class Case:
    """What exists before the snapshot, what is committed after it, and what is called then."""

    before: Callable[[Scheduler], Any]
    meanwhile: Callable[[Scheduler], Any]
    call: Callable[[Scheduler, Any], Any]
    error: type[Exception] | None = None
    expected: Callable[[Scheduler], Any] = lambda _scheduler: True


def nothing(_scheduler: Scheduler) -> None:
    """Do nothing."""


def add(job_id: str, trigger: Any = DAILY, **options: Any) -> Callable[[Scheduler], Any]:
    return lambda s: s.add("work", trigger, id=job_id, **options)


def states(scheduler: Scheduler) -> list[str]:
    return [run.state for run in scheduler.runs()]


CASES: dict[str, Case] = {
    "remove_cancels_runs": Case(
        add("a"), lambda s: s.run_now("a"), lambda s, session: s.remove("a", session=session),
        expected=lambda s: states(s) == ["cancelled"],
    ),
    "remove_finds_the_job": Case(
        nothing, add("a"), lambda s, session: s.remove("a", session=session),
        expected=lambda s: s.jobs() == [],
    ),
    "remove_by_tag": Case(
        nothing, add("a", tags=["t"]), lambda s, session: s.remove(tag="t", session=session),
        expected=lambda s: s.jobs() == [],
    ),
    "remove_in_use": Case(
        add("a"), lambda s: s.add("work", after=["a"], id="b"),
        lambda s, session: s.remove("a", session=session), JobInUse,
    ),
    "add_after": Case(
        nothing, add("a"), lambda s, session: s.add("work", after=["a"], id="b", session=session),
        expected=lambda s: len(s.jobs()) == 2,
    ),
    "add_taken": Case(
        nothing, add("a"), lambda s, session: s.add("work", DAILY, id="a", session=session),
        DuplicateJob,
    ),
    "replace": Case(
        nothing, add("a"),
        lambda s, session: s.add("work", every(hours=1), id="a", replace=True, session=session),
        expected=lambda s: s.job("a").next_fire_at == datetime(2026, 1, 1, 1, tzinfo=UTC),
    ),
    "edit_tags": Case(
        add("a"), lambda s: s.edit("a", tags=["new"]),
        lambda s, session: s.edit("a", args={"n": 1}, session=session),
        expected=lambda s: s.job("a").tags == ("new",),
    ),
    "edit_calendar": Case(
        lambda s: (s.set_calendar("feasts", dates(date(2026, 1, 1))), add("a")(s)),
        lambda s: s.set_calendar("feasts", dates(date(2026, 1, 2))),
        lambda s, session: s.edit("a", trigger=NAMED, session=session),
        expected=lambda s: s.job("a").next_fire_at == datetime(2026, 1, 1, 9, tzinfo=UTC),
    ),
    "pause_by_tag": Case(
        nothing, add("a", tags=["t"]), lambda s, session: s.pause(tag="t", session=session),
        expected=lambda s: s.job("a").state == "paused",
    ),
    "cancel": Case(
        add("a"), lambda s: s.run_now("a"),
        lambda s, session: s.cancel(s.runs()[0].id, session=session),
        expected=lambda s: states(s) == ["cancelled"],
    ),
    "retry_overlaps": Case(
        lambda s: (add("a")(s), s.add("fail", DAILY, id="f"), s.run_now("f"), s.tick()),
        lambda s: s.run_now("f"),
        lambda s, session: s.retry(s.runs(state="failed")[0].id, session=session), OverlapError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_E16_a_call_sees_what_was_committed_after_the_snapshot(
    scheduler: Scheduler, host: Engine, case: str
) -> None:
    """It does what it would do in a new transaction, or refuses the isolation and names it."""
    given = CASES[case]
    given.before(scheduler)
    with Session(host) as session:
        session.execute(select(tables.job.c.id)).all()
        given.meanwhile(scheduler)
        refused: tuple[type[Exception], str | None] | None = None
        if scheduler.store.dialect.name == "postgresql":
            refused = TransactionError, "REPEATABLE READ"
        elif given.error is not None:
            refused = given.error, None
        if refused is not None:
            with pytest.raises(refused[0], match=refused[1]):
                given.call(scheduler, session)
            return
        given.call(scheduler, session)
        session.commit()
    assert given.expected(scheduler)


def test_E04_a_unique_key_that_was_taken_after_the_snapshot(
    scheduler: Scheduler, host: Engine
) -> None:
    """The id of the run that holds the key is returned, or the isolation is refused by name."""
    with Session(host) as session:
        session.execute(select(tables.run.c.id)).all()
        holder = scheduler.enqueue("work", unique_key="k")
        if scheduler.store.dialect.name == "postgresql":
            with pytest.raises(TransactionError, match="REPEATABLE READ"):
                scheduler.enqueue("work", unique_key="k", session=session)
        else:
            assert scheduler.enqueue("work", unique_key="k", session=session) == holder
        session.commit()
    assert [run.id for run in scheduler.runs()] == [holder]


def test_E04_a_plain_call_needs_no_isolation(scheduler: Scheduler, host: Engine) -> None:
    """A call without a unique key reads nothing, so it is stored under any isolation."""
    with Session(host) as session:
        session.execute(select(tables.run.c.id)).all()
        scheduler.enqueue("work")
        scheduler.enqueue("work", session=session)
        session.commit()
    assert len(scheduler.runs()) == 2


def test_E16_the_hosts_own_queries_keep_their_snapshot(scheduler: Scheduler, host: Engine) -> None:
    """Only Duly's queries lock rows; what the host reads, before or after, is as before."""
    add("a")(scheduler)
    with Session(host) as session:
        session.execute(select(tables.job.c.id)).all()
        add("b")(scheduler)
        if scheduler.store.dialect.name == "mysql":
            scheduler.pause("a", session=session)
        assert session.execute(select(tables.job.c.id)).scalars().all() == ["a"]
        session.rollback()


def test_E16_read_committed_is_accepted(scheduler: Scheduler) -> None:
    """The isolation that the message recommends works."""
    engine = create_engine(scheduler.store.url, isolation_level="READ COMMITTED")
    with Session(engine) as session:
        session.execute(select(tables.job.c.id)).all()
        add("a")(scheduler)
        scheduler.pause("a", session=session)
        session.commit()
    engine.dispose()
    assert scheduler.job("a").state == "paused"
