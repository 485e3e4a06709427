"""Transactions are atomic, announce events after the commit, and raise Duly's errors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, select, text

from duly.clock import SystemClock, VirtualClock
from duly.errors import DatabaseUnavailable, SchemaError, StoreError
from duly.model.event import Event
from duly.store import history, tables
from duly.store.history import EventFilter
from duly.store.store import Store
from tests.store.conftest import add_job, add_run, count
from tests.support.postgresql import PostgresServer, free_port

Open = Callable[[str], Store]


@pytest.fixture
def announced(store: Store) -> list[Event]:
    """The events that the store announces."""
    found: list[Event] = []
    store.announce = found.extend
    return found


def test_events_are_stored_with_their_details_and_announced_after_the_commit(
    store: Store, announced: list[Event], clock: VirtualClock
) -> None:
    """When a listener receives an event, other connections can read it."""
    seen: list[int] = []

    def listen(events: list[Event]) -> None:
        announced.extend(events)
        seen.append(count(store, tables.job))

    store.announce = listen
    with store.write("ana") as tx:
        add_job(tx, "j")
        tx.record("job.added", job_id="j", origin="api")
        assert announced == []
    (added,) = announced
    assert (added.kind, added.job_id, added.actor, added.at, added.detail) == (
        "job.added", "j", "ana", clock.now(), {"origin": "api"},
    )  # fmt: skip
    assert seen == [1]
    with store.read() as conn:
        (row,) = history.events(conn, EventFilter())
    assert (row.kind, row.actor, row.at) == ("job.added", "ana", clock.now())


def test_events_of_a_rolled_back_transaction_are_not_announced(
    store: Store, announced: list[Event]
) -> None:
    """An error inside it leaves neither rows nor events."""

    def fail() -> None:
        with store.write() as tx:
            add_job(tx, "j")
            tx.record("job.added", job_id="j")
            raise KeyError("host's own")

    with pytest.raises(KeyError, match="host's own"):
        fail()
    assert announced == []
    assert count(store, tables.job) == count(store, tables.event) == 0


def test_routine_events_are_announced_but_not_stored(store: Store, announced: list[Event]) -> None:
    """The audit trail keeps only what the run's row does not show."""
    with store.write() as tx:
        for kind in ("run.started", "run.succeeded", "run.failed"):
            tx.record(kind)
    assert [event.kind for event in announced] == ["run.started", "run.succeeded", "run.failed"]
    with store.read() as conn:
        assert [row.kind for row in history.events(conn, EventFilter())] == ["run.failed"]


def test_everything_in_a_transaction_happens_at_one_instant(
    store: Store, clock: VirtualClock
) -> None:
    """Its time does not advance, however long the transaction takes."""
    with store.write() as tx:
        before = tx.now
        clock.advance(60)
        assert tx.now == before


def test_missing_tables_are_reported(prepared_database_url: str, open_store: Open) -> None:
    """The error says that Duly's tables are missing, instead of "no such table"."""
    store = open_store(prepared_database_url)
    store.prepare()
    with store.engine.begin() as conn:
        conn.execute(text("drop table duly_job"))

    def read() -> None:
        with store.read() as conn:
            conn.execute(select(tables.job.c.id))

    with pytest.raises(
        SchemaError, match=r"Duly's tables are missing in (sqlite|postgresql|mysql)"
    ):
        read()


def test_a_refused_statement_raises_a_store_error(store: Store) -> None:
    """The database's error is translated and kept as the cause."""

    def write() -> None:
        with store.write() as tx:
            tx.conn.execute(text("insert into duly_control (name) values ('x')"))

    with pytest.raises(StoreError, match="refused") as error:
        write()
    assert not isinstance(error.value, DatabaseUnavailable | SchemaError)
    assert error.value.__cause__ is not None


def test_passwords_are_never_shown(postgres: PostgresServer) -> None:
    """They appear neither in errors nor in the representation of the store."""
    url = f"postgresql+psycopg://ana:s3cr3t-word@127.0.0.1:{free_port()}/x"
    store = Store(url, SystemClock())
    with pytest.raises(DatabaseUnavailable) as error:
        store.prepare()
    for shown in (str(store), repr(store), str(error.value), repr(error.value)):
        assert "s3cr3t" not in shown
    assert "ana:***@" in str(store)


def test_a_server_that_does_not_answer_is_unavailable(postgres: PostgresServer) -> None:
    """The port is closed, the host unknown, the database missing, or the password wrong."""
    account = postgres.url("nothing-here")
    for url in (
        f"postgresql+psycopg://postgres@127.0.0.1:{free_port()}/postgres",
        "postgresql+psycopg://postgres@no-such-host.invalid/postgres",
        account,
        account.replace("postgres:", "postgres:wrong").replace("nothing-here", "postgres"),
    ):
        store = Store(url, SystemClock())
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            store.prepare()
        store.dispose()


def test_a_file_in_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    """A volume may be mounted later, so the scheduler can try again, as with a server."""
    store = Store(f"sqlite:///{tmp_path}/missing/app.db", SystemClock())
    with pytest.raises(DatabaseUnavailable, match="does not exist; create it"):
        store.prepare()
    (tmp_path / "missing").mkdir()
    store.prepare()
    store.dispose()


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """The error says so, and the file is not changed."""
    path = tmp_path / "app.db"
    path.write_text("these are my notes, not a database\n" * 100)
    before = path.read_bytes()
    store = Store(f"sqlite:///{path}", SystemClock())
    with pytest.raises(StoreError, match="not a database"):
        store.prepare()
    store.dispose()
    assert path.read_bytes() == before


def test_a_broken_connection_is_replaced(prepared_postgresql_url: str, open_store: Open) -> None:
    """After the server has ended all sessions, as in a restart, the next transaction works."""
    store, admin = open_store(prepared_postgresql_url), open_store(prepared_postgresql_url)
    with store.read() as conn:
        conn.execute(text("select 1"))
    with admin.engine.begin() as conn:
        conn.execute(
            text(
                "select pg_terminate_backend(pid, 30000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    with store.read() as conn:
        assert conn.execute(text("select 1")).scalar_one() == 1


def test_a_session_that_is_ended_during_a_transaction_is_unavailable(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """The transaction is lost, and the error says that the database does not answer."""
    store, admin = open_store(prepared_postgresql_url), open_store(prepared_postgresql_url)

    def write() -> None:
        with store.write() as tx:
            add_run(tx)
            pid = tx.conn.execute(text("select pg_backend_pid()")).scalar_one()
            with admin.engine.begin() as conn:
                conn.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
            add_run(tx)

    with pytest.raises(DatabaseUnavailable):
        write()
    assert count(admin, tables.run) == 0


# --------------------------------------------------------------------------------- SQLite


def impatient(store: Store, milliseconds: int = 50) -> Store:
    """Return the store with a short busy timeout."""

    def shorten(connection: Any, _record: Any) -> None:
        connection.execute(f"pragma busy_timeout = {milliseconds}")

    event.listen(store.engine, "connect", shorten)
    return store


def test_a_writer_that_waits_too_long_reports_the_lock(
    prepared_sqlite_url: str, open_store: Open
) -> None:
    """Another writer locks the file for longer than the busy timeout; the next attempt works."""
    store, other = open_store(prepared_sqlite_url), impatient(open_store(prepared_sqlite_url))
    other.prepare()

    def write() -> None:
        with other.write() as tx:
            add_run(tx)

    with store.write() as tx:
        add_run(tx)
        with pytest.raises(DatabaseUnavailable, match="locked"):
            write()
    write()
    assert count(store, tables.run) == 2


def test_a_reader_never_waits_for_a_writer(prepared_sqlite_url: str, open_store: Open) -> None:
    """In WAL mode, a query during another transaction sees the state before it."""
    store, other = open_store(prepared_sqlite_url), impatient(open_store(prepared_sqlite_url), 0)
    other.prepare()
    with store.write() as tx:
        add_job(tx, "j")
        assert count(other, tables.job) == 0
    assert count(other, tables.job) == 1


def test_a_transaction_that_reads_first_can_still_write(
    prepared_sqlite_url: str, open_store: Open
) -> None:
    """Transactions begin as writers, so that no other one commits between their read and write."""
    store, other = open_store(prepared_sqlite_url), open_store(prepared_sqlite_url)
    read, wrote = threading.Event(), threading.Event()

    def interfere() -> None:
        read.wait(240)
        with other.write() as tx:
            add_job(tx, "theirs")
        wrote.set()

    thread = threading.Thread(target=interfere)
    thread.start()
    with store.write() as tx:
        assert tx.conn.execute(select(tables.job.c.id)).all() == []
        read.set()
        assert not wrote.wait(0.2)
        assert tx.conn.execute(select(tables.job.c.id)).all() == []
        add_job(tx, "mine")
    thread.join(10)
    assert count(store, tables.job) == 2


def test_a_foreign_process_sees_plain_tables(prepared_sqlite_url: str, open_store: Open) -> None:
    """Any SQLite client reads the same rows."""
    store = open_store(prepared_sqlite_url)
    with store.write() as tx:
        add_job(tx, "j")
    with sqlite3.connect(store.url.database or "") as plain:
        assert plain.execute("select id, state from duly_job").fetchall() == [("j", "active")]
    plain.close()


def test_the_url_of_an_async_driver_is_accepted(
    prepared_database_url: str, open_store: Open
) -> None:
    """A host can pass its own URL unchanged."""
    for old, new in (("sqlite:", "sqlite+aiosqlite:"), ("+psycopg:", "+asyncpg:")):
        if old in prepared_database_url:
            store = open_store(prepared_database_url.replace(old, new))
            assert count(store, tables.job) == 0


def test_a_pool_without_a_free_connection_is_unavailable(
    prepared_database_url: str, open_store: Open
) -> None:
    """If all connections are in use, an error is raised after the pool's timeout."""
    store = open_store(prepared_database_url)
    store.prepare()
    store.dispose()
    store.engine = create_engine(store.url, pool_size=1, max_overflow=0, pool_timeout=0.05)

    def read() -> None:
        with store.read():
            pass

    with store.engine.connect(), pytest.raises(DatabaseUnavailable, match="no free connection"):
        read()
    read()


def test_a_connection_that_is_in_use_is_closed_when_it_is_returned(
    prepared_database_url: str, open_store: Open
) -> None:
    """No connection is left to garbage collection, whatever a thread does while a store closes."""
    store = open_store(prepared_database_url)
    closed: list[object] = []
    event.listen(store.engine.pool, "close", lambda driver, _entry: closed.append(driver))
    with store.read() as conn:
        driver = conn.connection.driver_connection
        store.dispose()
        assert driver not in closed
    assert closed[-1] is driver
