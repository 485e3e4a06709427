"""On a connection of the database's driver: calls take part in the host's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql.converters
import pymysql.cursors
import pytest
from psycopg.rows import dict_row

from duly import Scheduler, VirtualClock, every
from duly.errors import ConfigurationError, DuplicateJob, SchemaError, TransactionError
from tests.operations.conftest import START, Make, with_tasks
from tests.operations.test_calls_on_sessions import CALLS, contents, furnished
from tests.support.databases import ON_SQLITE
from tests.support.drivers import connect, query

__all__ = ["furnished"]
Connect = Callable[..., Any]


@pytest.fixture
def connections() -> Iterator[Connect]:
    """Opens connections of the driver, which are closed at the end."""
    opened: list[Any] = []

    def one(scheduler: Scheduler, **options: Any) -> Any:
        opened.append(connect(scheduler.store.url, **options))
        return opened[-1]

    yield one
    for driver in opened:
        driver.close()


@pytest.fixture
def driver(scheduler: Scheduler, connections: Connect) -> Any:
    """A connection of the host's, beside a table of its own."""
    scheduler.prepare()
    opened = connections(scheduler)
    query(opened, "create table order_ (name varchar(50))")
    opened.commit()
    return opened


def orders(driver: Any) -> list[str]:
    found = [name for (name,) in query(driver, "select name from order_")]
    driver.rollback()
    return found


def test_each_call_exists_if_and_only_if_the_host_commits(
    furnished: Scheduler, connections: Connect
) -> None:
    """Every call that writes; Duly itself neither commits nor rolls back."""
    before = contents(furnished)
    driver = connections(furnished)
    for name, call in CALLS.items():
        call(furnished, driver)
        assert contents(furnished) == before, name
        driver.rollback()
        assert contents(furnished) == before, name
    CALLS["edit"](furnished, driver)
    driver.commit()
    assert furnished.job("job").args == {"n": 3}


def test_the_work_of_the_host_is_its_own_to_end(scheduler: Scheduler, driver: Any) -> None:
    """What the host wrote before and after a call is committed or rolled back with it."""
    query(driver, "insert into order_ values ('a')")
    scheduler.enqueue("work", session=driver)
    query(driver, "insert into order_ values ('b')")
    driver.rollback()
    assert (orders(driver), scheduler.runs()) == ([], [])
    query(driver, "insert into order_ values ('c')")
    run_id = scheduler.enqueue("work", n=3, session=driver)
    driver.commit()
    scheduler.tick()
    assert (orders(driver), scheduler.run(run_id).result) == (["c"], 3)


def test_a_refused_call_leaves_nothing_and_the_transaction_goes_on(
    scheduler: Scheduler, driver: Any
) -> None:
    """It is undone to its savepoint; what the host wrote before it stays."""
    scheduler.add("work", every(seconds=60), id="job")
    query(driver, "insert into order_ values ('a')")
    items = [{"task": "work", "trigger": every(seconds=9), "id": name} for name in ("new", "job")]
    with pytest.raises(DuplicateJob):
        scheduler.add_many(items, session=driver)
    driver.commit()
    assert orders(driver) == ["a"]
    assert [job.id for job in scheduler.jobs()] == ["job"]


# ------------------------------------------------------------------- what a host has set on it


def _sqlite_rows(connections: Connect, scheduler: Scheduler) -> Any:
    driver = connections(scheduler, detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES)
    driver.row_factory = lambda cursor, row: dict(
        zip([column[0] for column in cursor.description], row, strict=True)
    )
    driver.text_factory = bytes
    return driver


def _postgresql_rows(connections: Connect, scheduler: Scheduler) -> Any:
    driver = connections(scheduler, row_factory=dict_row, cursor_factory=psycopg.ClientCursor)
    for name in ("timestamptz", "text", "varchar", "int4", "int8", "bool", "uuid"):
        driver.adapters.register_loader(name, Odd)
    return driver


class Odd(psycopg.adapt.Loader):
    def load(self, data: Any) -> Any:
        return ("odd", bytes(data))


def _mariadb_rows(connections: Connect, scheduler: Scheduler) -> Any:
    odd = pymysql.converters.encoders | {
        number: lambda value: ("odd", value) for number in range(256)
    }
    return connections(
        scheduler, cursorclass=pymysql.cursors.SSDictCursor, conv=odd, use_unicode=False
    )


UNUSUAL = {"sqlite": _sqlite_rows, "postgresql": _postgresql_rows, "mysql": _mariadb_rows}


def test_how_the_host_reads_its_rows_does_not_matter(
    furnished: Scheduler, connections: Connect
) -> None:
    """Rows as dictionaries, converted values, texts as bytes: Duly reads as it always does."""
    usual = connections(furnished)
    unusual = UNUSUAL[furnished.store.dialect.name](connections, furnished)
    state = _readings(unusual)
    for name in ("edit", "remove", "cancel", "retry", "set_queue", "create_key", "backfill"):
        for driver in (unusual, usual):
            CALLS[name](furnished, driver)
            driver.rollback()
    assert _readings(unusual) == state
    CALLS["edit"](furnished, unusual)
    unusual.commit()
    assert furnished.job("job").args == {"n": 3}


def _readings(driver: Any) -> list[Any]:
    """How the host reads a text, an instant and a number."""
    statement = "select id, kind, at, job_id from duly_event order by id limit 1"
    rows = query(driver, statement)
    driver.rollback()
    return rows


# ------------------------------------------------------------------------------ what is refused


def _switch_on(driver: Any) -> None:
    if isinstance(driver, sqlite3.Connection):
        driver.isolation_level = None
    elif isinstance(driver, psycopg.Connection):
        driver.autocommit = True
    else:
        driver.autocommit(True)


def test_a_connection_in_autocommit_is_refused_outside_of_a_transaction(
    scheduler: Scheduler, driver: Any
) -> None:
    """Its statements would be committed one by one; inside BEGIN they are not."""
    _switch_on(driver)
    with pytest.raises(TransactionError, match="switch autocommit off or begin a transaction"):
        scheduler.enqueue("work", session=driver)
    for end, found in (("rollback", 0), ("commit", 1)):
        query(driver, "begin")
        scheduler.enqueue("work", session=driver)
        scheduler.add("work", every(seconds=60), id="job", session=driver)
        query(driver, end)
        assert (len(scheduler.runs()), len(scheduler.jobs())) == (found, found)


@pytest.mark.parametrize("prepared_database_url", ["postgresql", "mariadb"], indirect=True)
def test_the_rules_of_isolation_are_those_of_sessions(scheduler: Scheduler, driver: Any) -> None:
    """On PostgreSQL a snapshot is refused; on MariaDB Duly's queries read the latest state."""
    scheduler.add("work", every(seconds=60), id="job")
    if isinstance(driver, psycopg.Connection):
        driver.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(TransactionError, match="READ COMMITTED"):
            scheduler.remove("job", session=driver)
        return
    orders(driver)
    query(driver, "start transaction with consistent snapshot")
    run_id = scheduler.run_now("job").id
    scheduler.remove("job", session=driver)
    driver.commit()
    assert scheduler.run(run_id).state == "cancelled"


def test_a_connection_to_another_database_is_refused(
    scheduler: Scheduler, driver: Any, tmp_path: Path
) -> None:
    """What is committed together must be in one database."""
    name = f"{scheduler.store.url.database}_other"
    if isinstance(driver, sqlite3.Connection):
        other: Any = sqlite3.connect(tmp_path / "other.db")
    elif isinstance(driver, psycopg.Connection):
        other = connect(scheduler.store.url.set(database="postgres"))
    else:
        other = driver
        scheduler.enqueue("work", session=driver)  # the identity is checked at each call
        query(driver, f"create database {name}")
        driver.select_db(name)
    try:
        with pytest.raises(SchemaError, match="not the database of this scheduler"):
            scheduler.enqueue("work", session=other)
    finally:
        if other is driver:
            query(driver, f"drop database {name}")
        else:
            other.close()


def test_what_is_not_a_connection_is_named_with_what_is(scheduler: Scheduler) -> None:
    """The message says which driver's connections this scheduler takes."""
    kind = scheduler.store.drivers.kind
    wrong: Any = object()
    with pytest.raises(ConfigurationError, match=f"builtins.object; .* driver \\({kind}\\)"):
        scheduler.enqueue("work", session=wrong)


# -------------------------------------------------------------------------------------- SQLite


@ON_SQLITE
def test_the_autocommit_attribute_of_newer_drivers_decides(
    make: Make, connections: Connect, clock: VirtualClock
) -> None:
    """Since Python 3.12 it takes precedence over ``isolation_level``; simulated before that."""
    scheduler = with_tasks(make())
    scheduler.prepare()
    url = str(scheduler.store.url.database)
    newer = type("Newer", (sqlite3.Connection,), {"autocommit": True})
    driver: Any = sqlite3.connect(url, factory=newer)
    with pytest.raises(TransactionError, match="AUTOCOMMIT"):
        scheduler.enqueue("work", session=driver)
    driver.close()
    options = {"factory": type("Newer", (sqlite3.Connection,), {"autocommit": False})}
    driver = connections(scheduler, isolation_level=None, **options)
    driver.execute("begin")  # as that driver has done itself
    scheduler.enqueue("work", session=driver)
    driver.commit()
    assert len(scheduler.runs()) == 1
    assert clock.now() == START
