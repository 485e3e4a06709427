"""Transactions that are in each other's way: Duly's own are run again, the caller's are told."""

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
        pytest.skip("one writer at a time: nobody deadlocks")
    return prepared_database_url


def test_a_deadlock_is_run_again(server_url: str, open_store: Open) -> None:
    """Two transactions take two jobs in opposite orders; both come to their end."""
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


def test_a_row_locked_by_the_host_stops_nobody_for_long(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """After the lock timeout the transaction is given up, with an error that says what to do."""
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


def test_the_callers_transaction_is_never_repeated_behind_its_back(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """REPEATABLE READ: the row has changed since; only the caller can begin anew."""
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


def test_who_is_always_in_the_way_is_told_so(store: Store) -> None:
    """Six tries, then the error."""
    tries: list[int] = []

    def work(tx: Transaction) -> None:
        tries.append(1)
        raise DatabaseBusy("in the way")

    with pytest.raises(DatabaseBusy):
        store.run(work)
    assert len(tries) == 6


def test_a_process_that_stands_still_does_not_hold_its_locks_for_ever(
    prepared_postgresql_url: str, open_store: Open
) -> None:
    """PostgreSQL ends its transaction after a while; a transactional function may think longer."""
    store = open_store(prepared_postgresql_url)
    asked = text("show idle_in_transaction_session_timeout")
    with store.write() as tx:
        assert tx.conn.execute(asked).scalar() == "20s"
        store.dialect.begin_session(tx.conn)
        assert tx.conn.execute(asked).scalar() == "0"

    def stand_still() -> None:
        with store.write() as tx:
            add_run(tx)
            pid = tx.conn.execute(text("select pg_backend_pid()")).scalar()
            tx.conn.execute(text("set local idle_in_transaction_session_timeout = '50ms'"))
            wait_until(lambda: not alive(pid))
            tx.conn.execute(asked)

    def alive(pid: object) -> bool:
        statement = text("select 1 from pg_stat_activity where pid = :pid")
        with store.engine.connect() as conn:
            return conn.execute(statement, {"pid": pid}).first() is not None

    with pytest.raises(DatabaseUnavailable):
        stand_still()
    assert all_runs(store) == {}


def test_who_is_dead_after_a_lease_holds_locks_no_longer(prepared_postgresql_url: str) -> None:
    """With the fast heartbeat everything is over after five seconds."""
    scheduler = Scheduler(prepared_postgresql_url, heartbeat="fast")
    asked = text("show idle_in_transaction_session_timeout")
    with scheduler.store.write() as tx:
        assert tx.conn.execute(asked).scalar() == "5s"
    scheduler.store.dispose()


def test_mariadb_too_takes_the_locks_from_a_process_that_stands_still(
    prepared_mariadb_url: str, open_store: Open
) -> None:
    """The limit is the connection's: it is back after a function that was freed of it."""
    store = open_store(prepared_mariadb_url)
    asked = text("select @@idle_transaction_timeout")
    for _again in range(2):
        with store.write() as tx:
            assert tx.conn.execute(asked).scalar() == 20
            store.dialect.begin_session(tx.conn)
            assert tx.conn.execute(asked).scalar() == 0
    lifeline = store.for_heartbeat(3)
    with lifeline.write() as tx:
        assert tx.conn.execute(asked).scalar() == 3
    lifeline.dispose()

    def stand_still() -> None:
        with store.write() as tx:
            add_run(tx)
            number = tx.conn.execute(text("select connection_id()")).scalar()
            tx.conn.execute(text("set session idle_transaction_timeout = 1"))
            wait_until(lambda: not alive(number))
            tx.conn.execute(asked)

    def alive(number: object) -> bool:
        statement = text("select 1 from information_schema.processlist where id = :number")
        with store.engine.connect() as conn:
            return conn.execute(statement, {"number": number}).first() is not None

    with pytest.raises(DatabaseUnavailable):
        stand_still()
    assert all_runs(store) == {}


def test_a_connection_of_the_host_keeps_its_own_limit(
    prepared_mariadb_url: str, open_store: Open
) -> None:
    """On MariaDB Duly could not give it back when the transaction ends."""
    store = open_store(prepared_mariadb_url)
    host = create_engine(store.url)
    with host.connect() as conn:
        conn.execute(text("set session idle_transaction_timeout = 77"))
        store.dialect.begin_session(conn)
        assert conn.execute(text("select @@idle_transaction_timeout")).scalar() == 77
    host.dispose()
