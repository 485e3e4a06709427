"""On the caller's own session: what Duly stores exists if and only if the caller commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, String, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

from duly import Event, Scheduler, VirtualClock, every, prepare_engine
from duly.errors import ConfigurationError, DuplicateJob, SchemaError
from duly.worker.wakeup import Wakeup
from tests.operations.conftest import Make, with_tasks
from tests.store.conftest import at_once

Enqueue = Callable[[object], Any]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "order_"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


@pytest.fixture
def host(scheduler: Scheduler) -> Iterator[Engine]:
    """The host application's own engine on the same database, with a table of its own."""
    scheduler.prepare()
    engine = prepare_engine(create_engine(scheduler.store.url))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def heard(scheduler: Scheduler) -> list[Event]:
    """What listeners of this process hear."""
    found: list[Event] = []
    scheduler.on("*", found.append)
    return found


def orders(scheduler: Scheduler) -> int:
    with scheduler.store.engine.connect() as conn:
        return int(conn.execute(text("select count(*) from order_")).scalar_one())


def kinds(heard: list[Event]) -> list[str]:
    return [event.kind for event in heard]


def act(scheduler: Scheduler, session: Any, name: str = "o") -> str:
    """Everything that one can do on a session; returns the run's id."""
    scheduler.add("work", every(seconds=60), id=f"job {name}", tags=["t"], session=session)
    scheduler.pause(f"job {name}", session=session)
    scheduler.resume(f"job {name}", session=session)
    return scheduler.enqueue("work", n=1, session=session)


# -------------------------------------------------------------------------------- sessions


def test_what_is_committed_exists(scheduler: Scheduler, host: Engine, heard: list[Event]) -> None:
    """The order, the job and the call become visible together, and listeners hear after that."""
    with Session(host) as session:
        session.add(Order(name="a"))
        run_id = act(scheduler, session)
        assert heard == []
        session.commit()
        assert kinds(heard) == ["job.added", "job.paused", "job.resumed"]
    assert orders(scheduler) == 1
    assert scheduler.job("job o").state == "active"
    scheduler.tick()
    assert scheduler.run(run_id).result == 1


def test_what_is_rolled_back_never_was(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """No job, no run, no event, nothing heard (promise 5)."""
    with Session(host) as session:
        session.add(Order(name="a"))
        act(scheduler, session)
        session.rollback()
        session.add(Order(name="b"))
        session.commit()
    assert orders(scheduler) == 1
    assert (scheduler.jobs(), scheduler.runs(), scheduler.events(), heard) == ([], [], [], [])


def test_a_session_that_is_closed_without_a_commit_leaves_nothing(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """Also when the same session object is used again and commits then."""
    session = Session(host)
    act(scheduler, session)
    session.close()
    session.add(Order(name="b"))
    session.commit()
    session.close()
    assert (scheduler.jobs(), scheduler.runs(), heard) == ([], [], [])


def test_an_error_in_the_block_leaves_nothing(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """``with Session.begin()`` rolls back: the calls made before the error are gone too."""

    def work() -> None:
        with sessionmaker(host).begin() as session:
            act(scheduler, session)
            raise KeyError("host's own")

    with pytest.raises(KeyError):
        work()
    assert (scheduler.jobs(), scheduler.runs(), heard) == ([], [], [])


def test_others_see_it_only_after_the_commit(
    make: Make, scheduler: Scheduler, host: Engine
) -> None:
    """A worker that polls meanwhile finds nothing, and nothing is claimed too early."""
    worker = with_tasks(make())
    with Session(host) as session:
        run_id = scheduler.enqueue("work", session=session)
        assert worker.runs() == []
        session.commit()
    worker.tick()
    assert worker.run(run_id).state == "succeeded"


def test_a_commit_wakes_this_process_s_engine(
    scheduler: Scheduler, host: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the enqueue itself: the engine would find nothing yet. A rollback wakes nobody."""
    woken: list[str] = []
    monkeypatch.setattr(Wakeup, "set", lambda _wakeup: woken.append("woken"))
    with Session(host) as session:
        scheduler.enqueue("work", session=session)
        assert woken == []
        session.rollback()
        assert woken == []
        scheduler.enqueue("work", session=session)
        session.commit()
        assert woken == ["woken"]
        session.commit()
        assert woken == ["woken"]


def test_duly_commits_nothing_of_the_host_s(scheduler: Scheduler, host: Engine) -> None:
    """The host's pending changes stay its own until it commits."""
    with Session(host) as session:
        session.add(Order(name="a"))
        session.flush()
        act(scheduler, session)
        assert session.in_transaction()
        session.rollback()
    assert orders(scheduler) == 0


def test_a_refusal_leaves_the_host_s_transaction_usable(scheduler: Scheduler, host: Engine) -> None:
    """A taken id or a wrong argument is no reason to lose the order."""
    scheduler.add("work", every(seconds=60), id="job o")
    with Session(host) as session:
        session.add(Order(name="a"))
        with pytest.raises(DuplicateJob):
            scheduler.add("work", every(seconds=1), id="job o", session=session)
        with pytest.raises(ValueError, match="arguments of"):
            scheduler.enqueue("work", m=1, session=session)
        session.commit()
    assert orders(scheduler) == 1


# ------------------------------------------------------------------------------ savepoints


def test_a_savepoint_that_is_rolled_back_takes_its_part_along(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """What was done before and after it stays."""
    with Session(host) as session:
        act(scheduler, session, "before")
        savepoint = session.begin_nested()
        act(scheduler, session, "inside")
        savepoint.rollback()
        scheduler.add("work", every(seconds=60), id="job after", session=session)
        session.commit()
    assert {job.id for job in scheduler.jobs()} == {"job before", "job after"}
    assert {event.job_id for event in heard} == {"job before", "job after"}
    assert len(scheduler.runs()) == 1


def test_a_savepoint_that_is_released_belongs_to_what_is_around_it(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """Heard after the outermost commit, not after the release."""
    with Session(host) as session:
        with session.begin_nested():
            act(scheduler, session, "inside")
        assert heard == []
        session.commit()
    assert {event.job_id for event in heard} == {"job inside"}


def test_a_savepoint_inside_a_rolled_back_savepoint_is_gone(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """Released into the outer savepoint, and rolled back with it: nobody hears of it."""
    with Session(host) as session:
        outer = session.begin_nested()
        with session.begin_nested():
            act(scheduler, session, "inner")
        act(scheduler, session, "outer")
        outer.rollback()
        act(scheduler, session, "kept")
        session.commit()
    assert {job.id for job in scheduler.jobs()} == {"job kept"}
    assert {event.job_id for event in heard} == {"job kept"}


def test_a_failed_insert_in_a_savepoint_does_not_silence_what_was_before(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """The usual "try to insert, else go on": the rest is committed, so the rest is heard."""
    with Session(host) as session:
        session.add(Order(name="a"))
        session.flush()
        act(scheduler, session, "before")

        def clash() -> None:
            with session.begin_nested():
                act(scheduler, session, "inside")
                session.add(Order(name="a"))
                session.flush()

        with pytest.raises(IntegrityError):
            clash()
        act(scheduler, session, "after")
        session.commit()
    assert {job.id for job in scheduler.jobs()} == {"job before", "job after"}
    assert {event.job_id for event in heard} == {"job before", "job after"}


def test_two_transactions_of_one_session_are_two(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """Each commit tells its own facts, once."""
    with Session(host) as session:
        for name in ("one", "two"):
            act(scheduler, session, name)
            session.commit()
        session.commit()
    assert kinds(heard) == ["job.added", "job.paused", "job.resumed"] * 2
    assert len({id(event) for event in heard}) == len(heard)


# ----------------------------------------------------------------------- other ways to join


def test_a_scoped_session_is_its_thread_s_session(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """Flask-SQLAlchemy's ``db.session`` is one."""
    scoped = scoped_session(sessionmaker(host))
    act(scheduler, scoped)
    assert heard == []
    scoped.commit()
    scoped.remove()
    assert len(scheduler.runs()) == 1
    assert heard
    act(scheduler, scoped, "lost")
    scoped.remove()
    assert len(scheduler.runs()) == 1


def test_a_connection_commits_or_not(scheduler: Scheduler, host: Engine) -> None:
    """SQLAlchemy Core: its transaction decides."""
    with host.connect() as conn:
        act(scheduler, conn, "lost")
        conn.rollback()
        act(scheduler, conn, "kept")
        conn.commit()
    with host.begin() as conn:
        act(scheduler, conn, "begun")
    assert {job.id for job in scheduler.jobs()} == {"job kept", "job begun"}


def test_a_session_bound_to_a_connection_works(
    scheduler: Scheduler, host: Engine, heard: list[Event]
) -> None:
    """The usual fixture of test suites: everything inside one outer transaction, rolled back."""
    with host.connect() as conn:
        outer = conn.begin()
        with Session(conn, join_transaction_mode="create_savepoint") as session:
            act(scheduler, session)
            session.commit()
        outer.rollback()
    assert (scheduler.jobs(), scheduler.runs()) == ([], [])


def test_a_session_with_autobegin_off_works(scheduler: Scheduler, host: Engine) -> None:
    """``Session(autobegin=False)`` must have begun."""
    with Session(host, autobegin=False) as session, session.begin():
        act(scheduler, session)
    assert len(scheduler.runs()) == 1


@pytest.mark.parametrize("wrong", ["text", 5, "engine", "factory"])
def test_what_is_no_session_is_refused(scheduler: Scheduler, host: Engine, wrong: Any) -> None:
    """An engine, a factory, or anything else: with what would be right."""
    given = {"engine": host, "factory": sessionmaker(host)}.get(wrong, wrong)
    with pytest.raises(ConfigurationError, match=r"session= is a .*give an SQLAlchemy Session"):
        scheduler.enqueue("work", session=given)
    assert scheduler.runs() == []


# --------------------------------------------------------------------- the wrong database


def test_a_session_on_another_database_is_refused(
    make: Make, scheduler: Scheduler, tmp_path: Path
) -> None:
    """Another database of Duly's: told with both addresses, and nothing is stored in either."""
    other = with_tasks(make(f"sqlite:///{tmp_path}/other.db"))
    other.prepare()
    scheduler.prepare()
    engine = create_engine(other.store.url)
    with (
        Session(engine) as session,
        pytest.raises(SchemaError, match=r"session= is bound to .*not the database of this sched"),
    ):
        act(scheduler, session)
    engine.dispose()
    assert (scheduler.runs(), other.runs()) == ([], [])


def test_a_session_on_a_database_without_duly_is_refused(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    """It is the session's database that has no tables, and the error says that."""
    scheduler.prepare()
    engine = create_engine(f"sqlite:///{tmp_path}/host only.db")
    with Session(engine) as session, pytest.raises(SchemaError, match="host only") as error:
        act(scheduler, session)
    engine.dispose()
    assert "session=" in str(error.value)


def test_a_twin_database_is_recognised_by_its_stored_identity(
    make: Make, scheduler: Scheduler, sqlite_url: str, tmp_path: Path
) -> None:
    """Two databases of one kind: the address may look right (an alias, a copy); the id decides."""
    first = with_tasks(make(sqlite_url.replace("duly.db", "first.db")))
    second = with_tasks(make(sqlite_url.replace("duly.db", "second.db")))
    for held in (first, second):
        held.prepare()
    engine = create_engine(second.store.url)
    with Session(engine) as session, pytest.raises(SchemaError):
        act(first, session)
    with Session(engine) as session:
        act(second, session)
        session.commit()
    engine.dispose()
    assert len(second.runs()) == 1


# --------------------------------------------------------------------------------- SQLite


def test_a_prepared_host_engine_waits_its_turn(
    make: Make, prepared_sqlite_url: str, tmp_path: Path
) -> None:
    """A host transaction that reads first and writes later, beside a busy scheduler: no error."""
    scheduler = with_tasks(make(prepared_sqlite_url))
    scheduler.prepare()
    engine = prepare_engine(create_engine(scheduler.store.url))
    Base.metadata.create_all(engine)

    def host_work() -> None:
        for number in range(20):
            with Session(engine) as session:
                session.query(Order).count()
                session.add(Order(name=f"order {number}"))
                scheduler.enqueue("work", n=number, session=session)
                session.commit()

    def own_work() -> None:
        for number in range(20):
            scheduler.add("work", every(seconds=60), id=f"j{number}")

    at_once(host_work, own_work)
    engine.dispose()
    assert (orders(scheduler), len(scheduler.runs()), len(scheduler.jobs())) == (20, 20, 20)


def test_a_reading_host_session_takes_no_lock(make: Make, prepared_sqlite_url: str) -> None:
    """``execution_options(duly_read_only=True)``: readers of the host do not stop the scheduler."""
    scheduler = with_tasks(make(prepared_sqlite_url))
    scheduler.prepare()
    engine = prepare_engine(create_engine(scheduler.store.url))
    reading = engine.execution_options(duly_read_only=True)
    with Session(reading) as session:
        session.execute(text("select * from duly_job")).all()
        scheduler.add("work", every(seconds=60), id="j")
    engine.dispose()
    assert len(scheduler.jobs()) == 1


def test_preparing_another_kind_of_engine_changes_nothing() -> None:
    """A host calls it blindly, whatever its database is; it gets its engine back."""
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/x")
    assert prepare_engine(engine) is engine


def test_the_first_call_on_a_session_needs_tables(make: Make, tmp_path: Path) -> None:
    """Nobody has prepared the database, and the host's transaction holds the only lock: told so."""
    scheduler = with_tasks(make(f"sqlite:///{tmp_path}/new.db"))
    engine = prepare_engine(create_engine(scheduler.store.url))
    with Session(engine) as session:
        session.execute(text("create table x (y integer)"))
        with pytest.raises(SchemaError, match=r"cannot be created while your transaction is open"):
            scheduler.enqueue("work", session=session)
        session.rollback()
    scheduler.prepare()
    with Session(engine) as session:
        scheduler.enqueue("work", session=session)
        session.commit()
    engine.dispose()
    assert len(scheduler.runs()) == 1


async def test_the_first_awaitable_call_on_a_session_needs_tables(
    make: Make, tmp_path: Path
) -> None:
    """A coroutine's open transaction is told the same, at once; before it begins, tables can be."""
    engine = prepare_engine(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/new.db"))
    scheduler = with_tasks(make(f"sqlite:///{tmp_path}/new.db"))
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("create table x (y integer)"))
        with pytest.raises(SchemaError, match=r"cannot be created while your transaction is open"):
            await scheduler.aio.enqueue("work", session=session)
    async with AsyncSession(engine) as session:
        await scheduler.aio.enqueue("work", session=session)
        await session.commit()
    await engine.dispose()
    assert len(scheduler.runs()) == 1


def test_a_host_that_holds_a_job_does_not_hold_up_the_others(
    make: Make, prepared_postgresql_url: str, clock: VirtualClock
) -> None:
    """PostgreSQL: a long host transaction has touched job ``a``; job ``b`` fires and completes."""
    scheduler = with_tasks(make(prepared_postgresql_url))
    scheduler.add("work", every(seconds=10), id="a")
    scheduler.add("work", every(seconds=10), id="b")
    engine = create_engine(scheduler.store.url)
    with Session(engine) as session:
        scheduler.pause("a", session=session)
        clock.advance(10)
        scheduler.tick()
        assert [run.job_id for run in scheduler.runs()] == ["b"]
        session.rollback()
    engine.dispose()
    scheduler.tick()
    assert {run.job_id for run in scheduler.runs()} == {"a", "b"}


def test_a_plain_connection_is_no_session_of_the_orm(scheduler: Scheduler, host: Engine) -> None:
    """Nobody can know when a bare connection commits: its facts are recorded, not told."""
    heard: list[Event] = []
    scheduler.on("*", heard.append)
    with host.begin() as conn:
        assert isinstance(conn, Connection)
        act(scheduler, conn)
    assert heard == []
    assert [event.kind for event in scheduler.events()] == [
        "job.added", "job.paused", "job.resumed",
    ]  # fmt: skip
