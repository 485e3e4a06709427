"""Conflicting transactions: Duly's own are retried, and the caller's get an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, create_engine, select, text, update

from duly import Scheduler
from duly.errors import DatabaseBusy, DatabaseUnavailable
from duly.store import runs, tables
from duly.store.store import Store
from duly.store.transaction import Transaction
from tests.store.conftest import add_job, add_run, all_runs, at_once
from tests.support.waiting import wait_until

Open = Callable[[str], Store]


@pytest.fixture
def server_url(request: pytest.FixtureRequest, prepared_database_url: str) -> str:
    """A database with row locks."""
    if prepared_database_url.startswith("sqlite"):
        pytest.skip("one writer at a time cannot deadlock")
    return prepared_database_url


def test_a_deadlocked_transaction_is_retried(server_url: str, open_store: Open) -> None:
    """Two transactions lock two jobs in opposite orders; both commit in the end."""
    stores = open_store(server_url), open_store(server_url)
    with stores[0].write() as tx:
        for name in "ab":
            add_job(tx, name)
    tries: list[str] = []

    def move(store: Store, order: str) -> None:
        def work(tx: Transaction) -> None:
            tries.append(order)
            for name in order:
                tx.conn.execute(update(tables.job).where(tables.job.c.id == name).values(queue="q"))
                tx.conn.execute(
                    text("select pg_sleep(0.2)" if "psy" in server_url else "do sleep(0.2)")
                )

        store.run(work)

    at_once(lambda: move(stores[0], "ab"), lambda: move(stores[1], "ba"))
    assert len(tries) > 2


def test_a_row_locked_by_the_host_blocks_only_until_the_lock_timeout(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """After the lock timeout the transaction fails, and the error says what to do."""
    store = open_store(prepared_postgresql_url)
    with store.write() as tx:
        run_id = add_run(tx)
    host = create_engine(prepared_postgresql_url)

    def change() -> None:
        with store.write() as tx:
            tx.conn.execute(text("set local lock_timeout = '50ms'"))
            runs.change(tx, [run_id], state="cancelled")

    with store.read() as conn:
        assert conn.execute(text("show lock_timeout")).scalar() == "5s"
    with host.begin() as conn:
        conn.execute(select(tables.run).with_for_update())
        with pytest.raises(DatabaseBusy, match="run it again"):
            change()
    change()
    host.dispose()


def test_the_callers_transaction_is_never_retried(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """Under REPEATABLE READ, the row has changed since the snapshot; only the caller can retry."""
    store = open_store(prepared_postgresql_url)
    with store.write() as tx:
        run_id = add_run(tx)
    host = create_engine(prepared_postgresql_url, isolation_level="REPEATABLE READ")

    def change_on(conn: Connection) -> None:
        with store.join(conn, None) as tx:
            runs.change(tx, [run_id], reason="by the caller")

    with host.connect() as conn:
        conn.execute(select(tables.run)).all()
        with store.write() as tx:
            runs.change(tx, [run_id], reason="meanwhile")
        with pytest.raises(DatabaseBusy, match="run it again from its beginning"):
            change_on(conn)
    assert all_runs(store)[run_id].reason == "meanwhile"
    host.dispose()


def test_retries_are_limited(store: Store) -> None:
    """After six attempts the error is raised."""
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(1)
        raise DatabaseBusy("conflict")

    with pytest.raises(DatabaseBusy):
        store.run(work)
    assert len(tries) == 6


def test_an_idle_transaction_loses_its_locks(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """PostgreSQL ends it after 20 s; that of a transactional function has no limit."""
    store = open_store(prepared_postgresql_url)
    limit = text("show idle_in_transaction_session_timeout")
    with store.write() as tx:
        assert tx.conn.execute(limit).scalar() == "20s"
        store.dialect.begin_session(tx.conn)
        assert tx.conn.execute(limit).scalar() == "0"

    def idle() -> None:
        with store.write() as tx:
            add_run(tx)
            pid = tx.conn.execute(text("select pg_backend_pid()")).scalar()
            tx.conn.execute(text("set local idle_in_transaction_session_timeout = '50ms'"))
            wait_until(lambda: not alive(pid))
            tx.conn.execute(limit)

    def alive(pid: object) -> bool:
        statement = text("select 1 from pg_stat_activity where pid = :pid")
        with store.engine.connect() as conn:
            return conn.execute(statement, {"pid": pid}).first() is not None

    with pytest.raises(DatabaseUnavailable):
        idle()
    assert all_runs(store) == {}


def test_the_idle_limit_follows_the_lease(prepared_postgresql_url: str) -> None:
    """With the fast heartbeat, an idle transaction ends after five seconds."""
    scheduler = Scheduler(prepared_postgresql_url, heartbeat="fast")
    limit = text("show idle_in_transaction_session_timeout")
    with scheduler.store.write() as tx:
        assert tx.conn.execute(limit).scalar() == "5s"
    scheduler.store.dispose()


def test_an_idle_transaction_loses_its_locks_on_mariadb(
    prepared_mariadb_url: str, open_store: Open
) -> None:
    """The limit belongs to the connection and is restored after a transactional function."""
    store = open_store(prepared_mariadb_url)
    limit = text("select @@idle_transaction_timeout")
    for _again in range(2):
        with store.write() as tx:
            assert tx.conn.execute(limit).scalar() == 20
            store.dialect.begin_session(tx.conn)
            assert tx.conn.execute(limit).scalar() == 0
    heartbeat_store = store.for_heartbeat(3)
    with heartbeat_store.write() as tx:
        assert tx.conn.execute(limit).scalar() == 3
    heartbeat_store.dispose()

    def idle() -> None:
        with store.write() as tx:
            add_run(tx)
            number = tx.conn.execute(text("select connection_id()")).scalar()
            tx.conn.execute(text("set session idle_transaction_timeout = 1"))
            wait_until(lambda: not alive(number))
            tx.conn.execute(limit)

    def alive(number: object) -> bool:
        statement = text("select 1 from information_schema.processlist where id = :number")
        with store.engine.connect() as conn:
            return conn.execute(statement, {"number": number}).first() is not None

    with pytest.raises(DatabaseUnavailable):
        idle()
    assert all_runs(store) == {}


def test_a_connection_of_the_host_keeps_its_own_limit(
    prepared_mariadb_url: str, open_store: Open
) -> None:
    """On MariaDB, Duly could not restore it when the transaction ends."""
    store = open_store(prepared_mariadb_url)
    host = create_engine(store.url)
    with host.connect() as conn:
        conn.execute(text("set session idle_transaction_timeout = 77"))
        store.dialect.begin_session(conn)
        assert conn.execute(text("select @@idle_transaction_timeout")).scalar() == 77
    host.dispose()
