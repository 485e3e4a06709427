"""A database that goes away for a while, or comes back as a server that refuses writes."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator

import pymysql
import pytest
from psycopg import errors
from sqlalchemy import Pool, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from duly import Scheduler, VirtualClock
from duly.errors import DatabaseUnavailable
from duly.store.dialects.mariadb import MariaDB
from duly.store.dialects.postgresql import PostgreSQL
from duly.store.dialects.sqlite import SQLite
from duly.store.outage import REMIND_AFTER, Outage
from duly.worker import loop
from tests.chaos.proxy import Proxy, Route
from tests.support.waiting import wait_until


def work() -> None:
    """A task."""


def duly_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("duly")]


@pytest.fixture(params=["postgresql", "mariadb"])
def routed(request: pytest.FixtureRequest) -> Iterator[tuple[Scheduler, Route]]:
    """A scheduler whose only way to its database is a route that the test can close."""
    url = make_url(request.getfixturevalue(f"prepared_{request.param}_url"))
    proxy = Proxy((url.host or "127.0.0.1", url.port or 3306))
    route = proxy.route()
    near = url.set(host="127.0.0.1", port=route.port).render_as_string(hide_password=False)
    scheduler = Scheduler(near, heartbeat="fast")
    scheduler.task(name="work")(work)
    scheduler.proxy = proxy  # type: ignore[attr-defined]
    yield scheduler, route
    scheduler.stop(grace=0)
    proxy.close()


def test_U16_an_outage_is_one_line_at_its_beginning_and_one_at_its_end(
    routed: tuple[Scheduler, Route], caplog: pytest.LogCaptureFixture
) -> None:
    """Loop, heartbeat, listener and callers all fail; the log says so once, on one line."""
    scheduler, route = routed
    with caplog.at_level(logging.INFO, logger="duly"):
        scheduler.start()
        wait_until(lambda: scheduler.health().ok)
        caplog.clear()
        scheduler.proxy.do(route.refuse, True)  # type: ignore[attr-defined]
        wait_until(lambda: not scheduler.health().ok)
        for _ in range(10):
            with pytest.raises(DatabaseUnavailable):
                scheduler.enqueue("work")
        wait_until(lambda: scheduler.worker_id is None, what="the fencing of the worker")
        scheduler.proxy.do(route.refuse, False)  # type: ignore[attr-defined]
        wait_until(lambda: scheduler.health().ok)
    lines = duly_lines(caplog)
    assert not [line for line in lines if "\n" in line]
    troubles = [line for line in lines if "does not answer" in line or "failed" in line]
    assert len(troubles) == 1, lines
    assert "tries again until it answers" in troubles[0]
    assert len([line for line in lines if "answers again, after" in line]) == 1, lines


def test_U16_whoever_gets_through_wakes_the_others(
    routed: tuple[Scheduler, Route], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop does not wait for the end of its pause once any call has reached the database."""
    monkeypatch.setattr(loop, "FIRST_BACKOFF", 10_000.0)
    monkeypatch.setattr(loop, "OUTAGE_BACKOFF", 10_000.0)
    scheduler, route = routed
    scheduler.start()
    wait_until(lambda: scheduler.health().ok)
    scheduler.proxy.do(route.refuse, True)  # type: ignore[attr-defined]
    wait_until(lambda: not scheduler.health().ok)
    scheduler.proxy.do(route.refuse, False)  # type: ignore[attr-defined]
    run = wait_until(lambda: enqueued(scheduler)) or ""
    wait_until(lambda: scheduler.run(run).state == "succeeded", timeout=60)


def enqueued(scheduler: Scheduler) -> str | None:
    try:
        return scheduler.enqueue("work")
    except DatabaseUnavailable:
        return None


def test_U16_a_long_outage_is_recalled_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However often a transaction fails meanwhile."""
    clock = VirtualClock()
    outage = Outage("the database", clock)
    woken = threading.Event()
    outage.at_end(woken.set)
    with caplog.at_level(logging.INFO, logger="duly"):
        for _ in range(10 * 60):
            outage.begin(DatabaseUnavailable("the database\n  does not answer"), writing=True)
            clock.advance(1)
        assert 10 <= len(caplog.messages) <= 600 / REMIND_AFTER + 1
        assert "\n" not in "".join(caplog.messages)
        outage.end(writing=False)  # what can only be read is not back yet
        assert outage.is_on
        assert not woken.is_set()
        outage.end(writing=True)
        assert woken.is_set()
    assert caplog.messages[-1] == "The database the database answers again, after 600.0 s."


# ------------------------------------------------------------------------------ read-only


class Failover:
    """Makes new connections lead to a server that refuses writes, until it is over.

    The address leads to a standby for a while: those who connect meanwhile stay there.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._on = False
        self._opened: list[int] = []
        event.listen(Pool, "connect", self._connected)

    def _connected(self, connection: DBAPIConnection, _record: object) -> None:
        if self._on:
            cursor = connection.cursor()
            if self._url.get_backend_name() == "postgresql":
                cursor.execute("set session characteristics as transaction read only")
                connection.commit()
            else:
                cursor.execute("set session transaction read only")
            cursor.close()
        elif isinstance(connection, pymysql.Connection):
            self._opened.append(connection.thread_id())

    def begin(self, *schedulers: Scheduler) -> None:
        """End all connections; further ones are read-only."""
        self._on = True
        admin = create_engine(self._url)
        with admin.connect() as conn:
            if self._url.get_backend_name() == "postgresql":
                conn.exec_driver_sql(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
            else:
                query = "select id from information_schema.processlist"
                alive = set(conn.exec_driver_sql(query).scalars())
                for number in alive.intersection(self._opened):
                    conn.exec_driver_sql(f"kill {number}")
        admin.dispose()

    def end(self) -> None:
        """Let further connections lead to a writer."""
        self._on = False

    def close(self) -> None:
        """Stop watching connections."""
        event.remove(Pool, "connect", self._connected)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_U15_connections_to_a_read_only_server_do_not_stay_in_the_pool(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """As soon as the address leads to a writer again, jobs run again."""
    url = request.getfixturevalue(f"prepared_{kind}_url")
    failover = Failover(url)
    scheduler = Scheduler(url, heartbeat="fast")
    scheduler.task(name="work")(work)
    try:
        scheduler.start()
        wait_until(lambda: scheduler.health().ok)
        failover.begin(scheduler)
        wait_until(lambda: scheduler.store.outage.is_on)
        for _ in range(5):  # several connections of the pool lead there now
            with pytest.raises(DatabaseUnavailable, match=r"(?i)read.only"):
                scheduler.enqueue("work")
        failover.end()
        run = wait_until(lambda: enqueued(scheduler), timeout=60) or ""
        wait_until(lambda: scheduler.run(run).state == "succeeded", timeout=60)
        wait_until(lambda: scheduler.health().ok, timeout=60)
    finally:
        failover.close()
        scheduler.stop(grace=0)


@pytest.mark.parametrize(
    "error",
    [
        errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
        errors.ReadOnlySqlTransaction("cannot execute LISTEN during recovery"),
        errors.ObjectNotInPrerequisiteState("recovery is in progress"),
        pymysql.err.OperationalError(1290, "running with the --read-only option"),
        pymysql.err.OperationalError(1290, "running with the --super-read-only option"),
        pymysql.err.InternalError(1792, "Cannot execute statement in a READ ONLY transaction."),
        pymysql.err.OperationalError(1836, "Running in read-only mode"),
        pymysql.err.OperationalError(1036, "Table 'duly_run' is read only"),
        pymysql.err.OperationalError(1047, "WSREP has not yet prepared node for application use"),
    ],
    ids=str,
)
def test_U15_every_way_to_refuse_writes_discards_the_pool(error: Exception) -> None:
    """Standbys, read-only switches of all kinds, and nodes that left their cluster."""
    is_maria = isinstance(error, pymysql.MySQLError)
    url = make_url("mysql+pymysql://x/y" if is_maria else "postgresql+psycopg://x/y")
    dialect = MariaDB() if is_maria else PostgreSQL()
    for engine in (dialect.create_engine(url), dialect.heartbeat_engine(url, 2)):
        assert engine is not None
        assert discards(engine, error)


def discards(engine: object, error: Exception) -> bool:
    """Return whether an engine's handlers declare a connection with this error as lost."""

    class Context:
        original_exception = error
        is_disconnect = False

    for handle in engine.dialect.dispatch.handle_error:  # type: ignore[attr-defined]
        handle(Context)
    return Context.is_disconnect


def test_U15_a_file_that_was_opened_for_reading_only_is_opened_anew() -> None:
    """SQLite does not notice later that another user's file may now be written to."""
    error = sqlite3.OperationalError("attempt to write a readonly database")
    engine = SQLite().create_engine(make_url("sqlite:////tmp/not-opened.db"))
    assert discards(engine, error)
    assert not discards(engine, sqlite3.OperationalError("database is locked"))
