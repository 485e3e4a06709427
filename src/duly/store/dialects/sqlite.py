"""SQLite: one file, many processes of one machine, one writer at a time.

Writers begin with BEGIN IMMEDIATE: no busy timeout helps a transaction that reads first and writes
later, because its snapshot may be too old (SQLITE_BUSY_SNAPSHOT).
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Table,
    create_engine,
    event,
    false,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from duly.errors import TransactionError
from duly.model.finding import Finding
from duly.store.claims.query import CLAIMED, chosen_runs, claim_order
from duly.store.dialect import AUTOCOMMIT, Choice, Mark, in_autocommit
from duly.store.dialects import sqlite_examination
from duly.store.dialects.on_conflict import adding, overwriting
from duly.store.dialects.read_only import discard_read_only
from duly.store.dialects.sqlite_file_system import refuse_unsafe
from duly.store.dialects.sqlite_writers import READ_ONLY, WARN_AFTER_S, report_long_writes
from duly.store.notifier import NoticeDialect
from duly.store.tables import run
from duly.store.transitions import claim_values

BUSY_TIMEOUT_MS = 10_000
SWITCH_ATTEMPTS = 100
"""The number of further attempts to switch to WAL while other processes do the same."""

_PREPARED, _BEGUN = "duly_prepared", "duly_begun"
"""Marks on a connection: its engine is prepared, and the transaction that Duly has begun on it."""

_BUSY = ("database is locked", "database table is locked", "unable to open", "disk I/O error")


class SQLite:
    """See `StoreDialect`."""

    name = "sqlite"
    has_server_clock = False
    leases_by_heartbeat = False
    many_writers = False
    has_change_counter = True
    transactional_ddl = True
    keeps_dead = False
    inserts_with_update = False
    session_limit: float | None = 5.0
    encoding: str | None = None
    notices: NoticeDialect | None = None
    reading: Mapping[str, Any] = {READ_ONLY: True}
    single: Mapping[str, Any] = {}

    def create_engine(self, url: URL) -> Engine:
        """See `StoreDialect.create_engine`."""
        engine = create_engine(url, pool_size=8, max_overflow=24)
        prepare(engine)
        discard_read_only(engine, _is_read_only)
        return engine

    def heartbeat_engine(self, url: URL, patience: float) -> Engine | None:
        """Return ``None``: a worker is alive as long as it holds its file lock."""
        return None

    def begin_write(self, conn: Connection) -> None:
        """Do nothing: the transaction began as a writer."""

    @contextmanager
    def read_latest(self, conn: Connection) -> Iterator[None]:
        """Do nothing: the only writer sees what is committed."""
        yield

    def begin_session(self, conn: Connection) -> None:
        """Do nothing: `join_session` has taken the writers' lock."""

    def join_session(self, conn: Connection) -> None:
        """See `StoreDialect.join_session`.

        Where the host's engine is not prepared, its driver begins a transaction at the first write
        and not at a savepoint. A savepoint is then the outermost transaction, and its release
        commits. SQLite does not tell such a savepoint from one inside a transaction.
        """
        transaction = conn.get_transaction() or conn.begin()
        driver: Any = conn.connection.driver_connection
        if not driver.in_transaction:
            if in_autocommit(conn):
                raise TransactionError(AUTOCOMMIT)
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            conn.info[_BEGUN] = weakref.ref(transaction)
        elif _begins_as_writer(conn) or _is_begun(conn):
            return
        elif _begins(conn) or not conn.in_nested_transaction():
            conn.execute(_TAKE_LOCK)
        else:
            raise TransactionError(
                "session= is inside a savepoint (begin_nested) of an SQLite engine that Duly has "
                "not prepared: its driver begins no transaction around the savepoint, so that its "
                "release would commit this call; write duly.prepare_engine(engine) where the "
                "engine is created"
            )

    def holds_session(self, conn: Connection) -> bool:
        """See `StoreDialect.holds_session`; otherwise a statement would commit by itself."""
        driver: Any = conn.connection.driver_connection
        return bool(driver.in_transaction)

    def cut_session(self, conn: Connection) -> None:
        """See `StoreDialect.cut_session`.

        Without ``query_only``, a statement after the rollback would commit by itself.
        """
        driver: Any = conn.connection.driver_connection
        driver.execute("PRAGMA query_only = ON")
        driver.rollback()

    def driver_in_transaction(self, driver: Any) -> bool:
        """See `StoreDialect.driver_in_transaction`; some connections never are outside of one."""
        return driver.in_transaction and getattr(driver, "autocommit", None) is not False

    def driver_cursor(self, dbapi: Any, driver: Any) -> Any:
        """See `StoreDialect.driver_cursor`."""
        return dbapi.Cursor(driver)  # driver.cursor() would take over the row factory

    @contextmanager
    def driver_defaults(self, dbapi: Any, driver: Any) -> Iterator[None]:
        """See `StoreDialect.driver_defaults`."""
        given, driver.text_factory = driver.text_factory, str
        try:
            yield
        finally:
            driver.text_factory = given

    def server_identity(self, conn: Connection) -> str:
        """Return an empty text: a file has no server."""
        return ""

    def server_time(self, conn: Connection) -> datetime:
        """Return the time of this process's clock, which SQLite uses."""
        now = conn.execute(text("select strftime('%Y-%m-%dT%H:%M:%f', 'now')")).scalar_one()
        return datetime.fromisoformat(now).replace(tzinfo=UTC)

    def examine(self, conn: Connection, processes: int) -> list[Finding]:
        """See `StoreDialect.examine`."""
        return sqlite_examination.examine(conn, processes)

    def is_pooled(self, conn: Connection) -> bool:
        """Return false: a file has no pooler."""
        return False

    @contextmanager
    def migration_lock(self, conn: Connection) -> Iterator[None]:
        """Do nothing: there is one writer at a time."""
        yield

    def lock_rows(self, statement: Any, *, skip_locked: bool = False, share: bool = False) -> Any:
        """Return the statement unchanged: there is one writer at a time."""
        return statement

    def upsert(
        self, conn: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]
    ) -> None:
        """See `StoreDialect.upsert`."""
        conn.execute(overwriting(insert(table), row, keys))

    def add_counts(
        self,
        conn: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        keys: Sequence[str],
    ) -> None:
        """See `StoreDialect.add_counts`."""
        conn.execute(adding(insert(table), keys), rows)

    def claim(
        self,
        conn: Connection,
        claim: Mapping[str, Any],
        choice: Choice = Choice.PLAIN,
        marks: Sequence[Mark] = (),
    ) -> Sequence[Row[Any]]:
        """See `StoreDialect.claim`; SQLite returns the rows unordered, so they are sorted."""
        rows = conn.execute(_CLAIMS[choice], claim).all()
        return sorted(rows, key=claim_order)

    def in_schema(self, conn: Connection) -> AbstractContextManager[None]:
        """Do nothing: a file has no schemas."""
        return nullcontext()

    def create_schema(self, conn: Connection) -> None:
        """Do nothing: a file has no schemas."""

    def is_ddl_forbidden(self, error: DBAPIError) -> bool:
        """Return false: a file has no roles."""
        return False

    def is_missing_table(self, error: DBAPIError) -> bool:
        """See `StoreDialect.is_missing_table`."""
        return isinstance(error, OperationalError) and "no such table" in str(error.orig)

    def is_unavailable(self, error: BaseException) -> bool:
        """See `StoreDialect.is_unavailable`."""
        return isinstance(error, OperationalError) and any(
            sign in str(error.orig) for sign in _BUSY
        )

    def is_transient(self, error: BaseException) -> bool:
        """See `StoreDialect.is_transient`: another connection is writing or has written."""
        return isinstance(error, OperationalError) and " is locked" in str(error.orig)


def prepare(engine: Engine, warn_after: float | None = WARN_AFTER_S) -> None:
    """Give an engine WAL, a busy timeout, foreign keys and transactions that begin as writers.

    Connecting then raises `ConfigurationError` if the file is on a network file system, has several
    hard links, or is mounted without its folder. A connection in AUTOCOMMIT begins no transaction.

    Args:
        engine: the engine.
        warn_after: see `report_long_writes`; ``None``: nothing is reported.
    """
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "savepoint", _begin)
    if warn_after is not None:
        report_long_writes(engine, warn_after)


def _on_connect(connection: Any, record: Any) -> None:
    record.info[_PREPARED] = True
    if getattr(connection, "autocommit", None) is False:  # Python 3.12: it would begin by itself
        connection.autocommit = sqlite3.LEGACY_TRANSACTION_CONTROL  # type: ignore[attr-defined]
    cursor = connection.cursor()
    cursor.execute("PRAGMA database_list")
    name = cursor.fetchone()[2]
    if name:  # empty for a database in memory
        refuse_unsafe(Path(name))
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Switch a new file to WAL.

    While another process does so, SQLite refuses at once. So wait for the writers' lock, which
    honours the busy timeout, and try again.
    """
    for remaining in range(SWITCH_ATTEMPTS, -1, -1):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not remaining:
                raise
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("ROLLBACK")


def _begin(conn: Connection, _savepoint: str | None = None) -> None:
    """Begin a transaction, unless the host has done so, or its connection is in AUTOCOMMIT.

    Before a savepoint, the host may have committed behind SQLAlchemy's back.
    """
    driver: Any = conn.connection.driver_connection
    if driver.in_transaction or in_autocommit(conn):
        return
    deferred = conn.get_execution_options().get(READ_ONLY, False)
    conn.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")


def _is_read_only(error: BaseException) -> bool:
    """Return whether SQLite opened the file for reading only, which it does not revise later."""
    return "readonly database" in str(error)


def _begins(conn: Connection) -> bool:
    """Return whether Duly begins the transactions of a connection: see `_begin`."""
    return _PREPARED in conn.info and not in_autocommit(conn)


def _begins_as_writer(conn: Connection) -> bool:
    return _begins(conn) and not conn.get_execution_options().get(READ_ONLY, False)


def _is_begun(conn: Connection) -> bool:
    """Return whether `SQLite.join_session` has begun the current transaction."""
    begun = conn.info.get(_BEGUN)
    return begun is not None and begun() is conn.get_transaction()


def _claim(choice: Choice) -> Any:
    chosen = select(chosen_runs(choice).subquery().c.id)
    return update(run).where(run.c.id.in_(chosen)).values(claim_values()).returning(*CLAIMED)


_TAKE_LOCK = update(run).where(false()).values(token=run.c.token)
_CLAIMS = {choice: _claim(choice) for choice in Choice}
