"""The border between Duly and the host application's own engine, sessions and transactions."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from duly import Scheduler, VirtualClock, prepare_engine
from duly.errors import DatabaseBusy, TransactionError
from tests.operations.conftest import with_tasks

ADD = text("insert into order_ (name) values (:name)")
Run = Callable[[Engine, Scheduler], Any]


@pytest.fixture
def scheduler(prepared_database_url: str) -> Iterator[Scheduler]:
    """A scheduler on each database, beside a table of the host's."""
    with closing(with_tasks(Scheduler(prepared_database_url, clock=VirtualClock()))) as made:
        yield made


@pytest.fixture
def on_sqlite(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    """The same on SQLite alone."""
    with closing(with_tasks(Scheduler(prepared_sqlite_url, clock=VirtualClock()))) as made:
        yield made


class closing:  # noqa: N801 - as contextlib.closing
    """Prepares the scheduler's database and the host's table; disconnects at the end."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def __enter__(self) -> Scheduler:
        self.scheduler.prepare()
        with self.scheduler.store.engine.begin() as conn:
            conn.execute(text("create table order_ (name varchar(50))"))
        return self.scheduler

    def __exit__(self, *_: object) -> None:
        self.scheduler.stop(grace=0)
        self.scheduler.store.dispose()


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    """Creates engines of the host's, which are disposed at the end."""
    made: list[Engine] = []

    def create(scheduler: Scheduler, *, prepared: bool = True, **options: Any) -> Engine:
        engine = create_engine(scheduler.store.url, **options)
        made.append(prepare_engine(engine) if prepared else engine)
        return made[-1]

    yield create
    for engine in made:
        engine.dispose()


Engines = Callable[..., Engine]


def orders(scheduler: Scheduler) -> list[str]:
    with scheduler.store.engine.connect() as conn:
        return sorted(conn.execute(text("select name from order_")).scalars())


def driver_of(session: Session) -> Any:
    """The driver's own connection."""
    return session.connection().connection.driver_connection


# ------------------------------------------------------------------- E05: no transaction to join


def _by_engine(engines: Engines, scheduler: Scheduler) -> Session:
    return Session(engines(scheduler, isolation_level="AUTOCOMMIT"))


def _by_options(engines: Engines, scheduler: Scheduler) -> Session:
    return Session(engines(scheduler).execution_options(isolation_level="AUTOCOMMIT"))


def _by_connection(engines: Engines, scheduler: Scheduler) -> Session:
    session = Session(engines(scheduler, prepared=False))
    session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    return session


def _by_driver(engines: Engines, scheduler: Scheduler) -> Session:
    engine = engines(scheduler)

    def connect(driver: Any, _record: Any) -> None:
        if engine.dialect.name == "sqlite":
            driver.isolation_level = None
        elif engine.dialect.name == "postgresql":
            driver.autocommit = True
        else:
            driver.autocommit(True)

    event.listen(engine, "connect", connect)
    return Session(engine)


AUTOCOMMIT = {
    "engine": _by_engine, "options": _by_options, "connection": _by_connection,
    "driver": _by_driver,
}  # fmt: skip


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
@pytest.mark.parametrize("way", AUTOCOMMIT)
def test_E05_a_session_in_autocommit_is_refused(
    scheduler: Scheduler, engines: Engines, way: str, nested: bool
) -> None:
    """A call on a session whose statements commit by themselves could not be rolled back."""
    with AUTOCOMMIT[way](engines, scheduler) as session:
        if nested:
            if scheduler.store.dialect.name != "sqlite":
                pytest.skip("a server has no savepoint outside a transaction")
            session.begin_nested()
        with pytest.raises(TransactionError, match=r"AUTOCOMMIT|prepare_engine"):
            scheduler.enqueue("work", session=session)
        session.rollback()
    assert scheduler.runs() == []


def test_E05_a_savepoint_is_part_of_the_transaction(scheduler: Scheduler, engines: Engines) -> None:
    """What is enqueued in a released savepoint is gone when the session is rolled back."""
    with Session(engines(scheduler)) as session:
        with session.begin_nested():
            scheduler.enqueue("work", session=session)
            session.execute(ADD, {"name": "a"})
        session.rollback()
    assert (scheduler.runs(), orders(scheduler)) == ([], [])


def test_E05_an_unprepared_sqlite_engine_is_refused_in_a_savepoint(
    on_sqlite: Scheduler, engines: Engines
) -> None:
    """There the release of the savepoint would commit the call; the message names the cure."""
    with Session(engines(on_sqlite, prepared=False)) as session:
        savepoint = session.begin_nested()
        with pytest.raises(TransactionError, match=r"duly\.prepare_engine\(engine\)"):
            on_sqlite.enqueue("work", session=session)
        savepoint.commit()
        session.rollback()
    assert on_sqlite.runs() == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_E05_an_unprepared_sqlite_engine_joins_outside_savepoints(
    on_sqlite: Scheduler, engines: Engines, end: str
) -> None:
    """The call begins a transaction that the session ends, so savepoints after it are real."""
    with Session(engines(on_sqlite, prepared=False)) as session:
        on_sqlite.enqueue("work", session=session)
        with session.begin_nested():
            session.execute(ADD, {"name": "a"})
            on_sqlite.enqueue("work", session=session)
        getattr(session, end)()
    committed = end == "commit"
    assert (len(on_sqlite.runs()), orders(on_sqlite)) == (2 * committed, ["a"] * committed)


def test_E05_an_unprepared_sqlite_engine_joins_as_a_writer(
    on_sqlite: Scheduler, engines: Engines
) -> None:
    """What a call has read cannot be changed by another writer before the call writes."""
    engine = engines(on_sqlite, prepared=False, connect_args={"timeout": 0})
    with Session(engine) as session, engine.connect() as rival:
        on_sqlite.pause_queue("other")
        on_sqlite.enqueue("work", session=session)
        with pytest.raises(Exception, match="locked"):
            rival.exec_driver_sql("begin immediate")
        session.rollback()


def test_E05_an_old_snapshot_of_sqlite_is_refused(on_sqlite: Scheduler, engines: Engines) -> None:
    """A session that reads an older state cannot write: the caller is told to begin it again."""
    reading = engines(on_sqlite).execution_options(duly_read_only=True)
    with Session(reading) as session:
        session.execute(text("select * from duly_job")).all()
        on_sqlite.enqueue("work")
        with pytest.raises(DatabaseBusy, match="run it again from its beginning"):
            on_sqlite.enqueue("work", session=session)
        session.rollback()
        on_sqlite.enqueue("work", session=session)
        session.commit()
    assert len(on_sqlite.runs()) == 2


def _commit_by_driver(session: Session) -> None:
    driver_of(session).commit()


def _commit_by_text(session: Session) -> None:
    session.execute(text("COMMIT"))


@pytest.mark.parametrize("prepared", [False, True], ids=["unprepared", "prepared"])
@pytest.mark.parametrize("commit", [_commit_by_driver, _commit_by_text], ids=["driver", "text"])
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_E05_after_a_raw_commit_a_call_is_rolled_back_all_the_same(
    scheduler: Scheduler,
    engines: Engines,
    commit: Callable[[Session], None],
    prepared: bool,
    nested: bool,
) -> None:
    """A host that commits behind SQLAlchemy's back goes on in a transaction, or is refused."""
    with Session(engines(scheduler, prepared=prepared)) as session:
        session.execute(ADD, {"name": "a"})
        commit(session)
        if nested:
            with session.begin_nested():
                _enqueue_or_refuse(scheduler, session)
        else:
            _enqueue_or_refuse(scheduler, session)
        session.rollback()
    assert (scheduler.runs(), orders(scheduler)) == ([], ["a"])


def _enqueue_or_refuse(scheduler: Scheduler, session: Session) -> None:
    with suppress(TransactionError):
        scheduler.enqueue("work", session=session)


# --------------------------------------------------------------- U14: the host's own transactions


def _autocommit(conn: Connection) -> None:
    conn.execute(ADD, {"name": "a"})
    conn.rollback()


def _commit(conn: Connection) -> None:
    conn.execute(ADD, {"name": "a"})
    conn.commit()
    conn.execute(ADD, {"name": "b"})
    conn.rollback()


def _savepoint(conn: Connection) -> None:
    with conn.begin_nested():
        conn.execute(ADD, {"name": "a"})
    lost = conn.begin_nested()
    conn.execute(ADD, {"name": "b"})
    lost.rollback()
    conn.commit()


LEVELS: dict[str, tuple[Callable[[Connection], None], list[str]]] = {
    "AUTOCOMMIT": (_autocommit, ["a"]),
    "SERIALIZABLE": (_commit, ["a"]),
    "READ UNCOMMITTED": (_savepoint, ["a"]),
    "none": (_savepoint, ["a"]),
}


@pytest.mark.parametrize("where", ["engine", "options", "connection"])
@pytest.mark.parametrize("level", LEVELS)
def test_U14_a_prepared_engine_keeps_the_hosts_isolation_level(
    scheduler: Scheduler, engines: Engines, level: str, where: str
) -> None:
    """What the host commits, or rolls back, is what it would be without `prepare_engine`."""
    act, expected = LEVELS[level]
    chosen = {} if level == "none" else {"isolation_level": level}
    engine = engines(scheduler, **(chosen if where == "engine" else {}))
    if where == "options" and chosen:
        engine = engine.execution_options(**chosen)
    with engine.connect() as conn:
        if where == "connection" and chosen:
            conn.execution_options(**chosen)
        act(conn)
    assert orders(scheduler) == expected


def test_U14_a_connection_that_was_in_autocommit_is_transactional_again(
    on_sqlite: Scheduler, engines: Engines
) -> None:
    """The pool hands the same connection to the next user, who begins as a writer."""
    engine = engines(on_sqlite, pool_size=1, max_overflow=0)
    for _ in range(2):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(ADD, {"name": "kept"})
            conn.exec_driver_sql("VACUUM")
        with Session(engine) as session:
            session.execute(text("select 1"))
            assert driver_of(session).in_transaction
            session.execute(ADD, {"name": "lost"})
            on_sqlite.enqueue("work", session=session)
            session.rollback()
            on_sqlite.enqueue("work", session=session)
            session.commit()
    assert orders(on_sqlite) == ["kept"] * 2
    assert len(on_sqlite.runs()) == 2


def test_U14_an_engine_with_its_own_begin_can_be_prepared(
    on_sqlite: Scheduler, engines: Engines
) -> None:
    """SQLAlchemy's documentation tells SQLite hosts to begin transactions by such listeners."""
    engine = engines(on_sqlite, prepared=False)

    def connect(driver: Any, _record: Any) -> None:
        driver.isolation_level = None

    def begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)
    prepare_engine(engine)
    with Session(engine) as session:
        session.execute(ADD, {"name": "lost"})
        on_sqlite.enqueue("work", session=session)
        session.rollback()
        session.execute(ADD, {"name": "kept"})
        on_sqlite.enqueue("work", session=session)
        session.commit()
    assert (orders(on_sqlite), len(on_sqlite.runs())) == (["kept"], 1)


def test_U14_the_same_on_an_asyncio_engine(on_sqlite: Scheduler) -> None:
    """AUTOCOMMIT, VACUUM, a savepoint, a rollback and ``session=`` with an `AsyncEngine`."""
    url = on_sqlite.store.url.set(drivername="sqlite+aiosqlite")

    async def act() -> None:
        engine = prepare_engine(create_async_engine(url))
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as conn:
            await conn.execute(ADD, {"name": "a"})
            await conn.rollback()
            await conn.exec_driver_sql("VACUUM")
        await refuse(autocommit)
        async with AsyncSession(engine) as session:
            async with session.begin_nested():
                await on_sqlite.aio.enqueue("work", session=session)
                await session.execute(ADD, {"name": "lost"})
            await session.rollback()
            await on_sqlite.aio.enqueue("work", session=session)
            await session.execute(ADD, {"name": "b"})
            await session.commit()
        await engine.dispose()

    async def refuse(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            with pytest.raises(TransactionError, match="AUTOCOMMIT"):
                await on_sqlite.aio.enqueue("work", session=session)

    asyncio.run(act())
    assert (orders(on_sqlite), len(on_sqlite.runs())) == (["a", "b"], 1)


def test_U14_the_driver_of_python_3_12_keeps_its_own_transactions(tmp_path: Path) -> None:
    """``autocommit=False`` of newer drivers begins by itself; a prepared engine begins once."""
    if not hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL"):
        pytest.skip("Python 3.12 or later")
    url = f"sqlite:///{tmp_path}/own.db"
    engine = prepare_engine(create_engine(url, connect_args={"autocommit": False}))
    with engine.connect() as conn:
        conn.execute(text("create table order_ (name varchar(50))"))
        conn.commit()
        _commit(conn)
        assert conn.execute(text("select name from order_")).scalars().all() == ["a"]
    engine.dispose()
