"""Transactional functions that work on the driver's connection, without SQLAlchemy."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from typing import Any

import psycopg
import pymysql
import pytest

from duly import Run
from duly.errors import LifecycleError, TransactionError
from tests.operations.test_driver_connections import UNUSUAL
from tests.support.databases import ON_SQLITE
from tests.support.drivers import connect, query
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.transactions import Ledger

INSERT = "insert into effect (n) values (1)"


@pytest.fixture
def ledger(world: World) -> Ledger:
    """A world with a table for effects."""
    return Ledger(world)


def is_closed(driver: Any) -> bool:
    """Whether a connection of any driver is closed."""
    if isinstance(driver, sqlite3.Connection):
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            driver.total_changes  # noqa: B018
        return True
    return not driver.open if isinstance(driver, pymysql.Connection) else bool(driver.closed)


class Host:
    """An application that opens connections with the driver, and keeps them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.opened: list[Any] = []

    def connect(self) -> Any:
        """A connection with the host's own settings."""
        scheduler = self._ledger.scheduler
        make = UNUSUAL[scheduler.store.dialect.name]
        self.opened.append(make(lambda s, **options: connect(s.store.url, **options), scheduler))
        return self.opened[-1]


@pytest.fixture(params=[True, False], ids=["own", "host"])
def transactional(request: pytest.FixtureRequest, ledger: Ledger) -> Any:
    """A connection of Duly's own, and one that the host opens."""
    return True if request.param else Host(ledger).connect


def test_the_effect_and_the_completion_are_one_commit(ledger: Ledger, transactional: Any) -> None:
    """The function writes and enqueues on one connection; a failure leaves neither."""
    ledger.scheduler.task(name="mail")(lambda: None)

    @ledger.scheduler.task(transactional=transactional)
    def work(fail: bool, run: Run) -> str:
        connection = run.connection()
        query(connection, INSERT)
        ledger.scheduler.enqueue("mail", session=connection)
        assert ledger.effects() == []
        if fail:
            raise ValueError("no")
        return "done"

    assert ledger.run("work", fail=True).state == "failed"
    assert (ledger.effects(), ledger.scheduler.runs(task="mail")) == ([], [])
    run = ledger.run("work", fail=False)
    assert (run.state, run.result, ledger.effects()) == ("succeeded", "done", [1])
    assert [mail.state for mail in ledger.scheduler.runs(task="mail")] == ["succeeded"]


def test_the_host_s_connection_reads_as_it_does_elsewhere(ledger: Ledger) -> None:
    """Its row factory, cursor class and converters are its own; it is closed at the end."""
    host = Host(ledger)
    seen: list[Any] = []

    @ledger.scheduler.task(transactional=host.connect)
    def work(run: Run) -> None:
        assert run.connection().cursor().connection is host.opened[-1]
        ledger.scheduler.set_limit("key", 3, session=run.connection())
        seen.extend(query(run.connection(), "select 'a' as name"))

    assert ledger.run("work").state == "succeeded"
    assert "name" in seen[0]
    assert is_closed(host.opened[-1])


@pytest.mark.parametrize("ending", ["commit", "rollback", "close", "block"])
def test_the_function_cannot_end_the_transaction(
    ledger: Ledger, transactional: Any, ending: str
) -> None:
    """Calls that would are refused, and the run fails even if the function ignores that."""

    @ledger.scheduler.task(transactional=transactional)
    def work(run: Run) -> None:
        connection = run.connection()
        query(connection, INSERT)
        with suppress(TransactionError):
            if ending == "block":
                connection.__enter__()
            else:
                getattr(connection, ending)()

    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [])
    assert "was about to be ended by the function" in (run.error_message or "")


def test_a_commit_behind_the_driver_s_back_is_detected(ledger: Ledger, transactional: Any) -> None:
    """A statement of the function's own cursor cannot be prevented; the run fails."""

    @ledger.scheduler.task(transactional=transactional)
    def work(run: Run) -> None:
        query(run.connection(), INSERT)
        query(run.connection(), "commit")

    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("failed", [1])
    assert "behind the session's back" in (run.error_message or "")


CONFLICTS = {
    "sqlite": sqlite3.OperationalError("database is locked"),
    "postgresql": psycopg.errors.DeadlockDetected(),
    "mysql": pymysql.OperationalError(1213, "Deadlock found"),
}


def test_a_conflict_that_the_driver_reports_is_repeated_at_once(ledger: Ledger) -> None:
    """A deadlock is recognised without SQLAlchemy as well."""
    conflict = [CONFLICTS[ledger.scheduler.store.dialect.name]]

    @ledger.scheduler.task(transactional=True)
    def work(run: Run) -> None:
        query(run.connection(), INSERT)
        if conflict:
            raise conflict.pop()

    run = ledger.run("work")
    assert (run.state, run.attempt, ledger.effects()) == ("succeeded", 1, [1])


def test_the_connection_takes_no_settings_and_ends_with_the_run(ledger: Ledger) -> None:
    """Duly reads from it too, and it may belong to another transaction afterwards."""
    kept: list[Any] = []

    @ledger.scheduler.task(transactional=True)
    def work(run: Run) -> None:
        kept.append(run.connection())
        with pytest.raises(AttributeError, match="transactional=connect"):
            run.connection().row_factory = sqlite3.Row

    assert ledger.run("work").state == "succeeded"
    with pytest.raises(Exception, match="of a run that has ended"):
        kept[0].cursor()


def test_an_open_transaction_is_refused(ledger: Ledger) -> None:
    """Duly must be the one who began it, to end it."""
    opened: list[Any] = []

    def connect_and_begin() -> Any:
        url = ledger.scheduler.store.url
        options = {"check_same_thread": False} if url.get_backend_name() == "sqlite" else {}
        opened.append(connect(url, **options))
        query(opened[-1], "select 1" if isinstance(opened[-1], psycopg.Connection) else "begin")
        return opened[-1]

    ledger.scheduler.task(name="work", transactional=connect_and_begin)(lambda: None)
    run = ledger.run("work")
    assert "a transaction is open on the connection" in (run.error_message or "")
    opened[0].close()


@ON_SQLITE
def test_on_sqlite_the_host_s_connection_has_a_time_limit(ledger: Ledger) -> None:
    """After 5 s it is rolled back, so that other writers can continue; it may write no more."""
    entered, leave = threading.Event(), threading.Event()
    url = ledger.scheduler.store.url

    @ledger.scheduler.task(transactional=lambda: connect(url, check_same_thread=False))
    def work(run: Run) -> None:
        connection = run.connection()
        query(connection, INSERT)
        entered.set()
        assert leave.wait(240)
        with pytest.raises(TransactionError, match="only write lock"):
            connection.cursor()

    run_id = ledger.scheduler.enqueue("work")
    step(ledger.scheduler)
    assert entered.wait(240)
    ledger.world.clock.advance(5)
    ledger.scheduler.set_limit("key", 3)  # waits for the lock that is given back
    leave.set()
    wait_until(lambda: not ledger.scheduler.in_flight())
    ledger.scheduler.tick()
    run = ledger.scheduler.run(run_id)
    assert (run.state, ledger.effects()) == ("failed", [])
    assert "only write lock for 5 s" in (run.error_message or "")


def test_others_have_no_connection(ledger: Ledger) -> None:
    """An ordinary task, and a coroutine function, are told what to declare."""

    @ledger.scheduler.task()
    def work(run: Run) -> None:
        with pytest.raises(LifecycleError, match="transactional=True"):
            run.connection()

    assert ledger.run("work").state == "succeeded"
