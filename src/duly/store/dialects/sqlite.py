"""SQLite: one file, many processes of one machine, one writer at a time.

Writers begin with BEGIN IMMEDIATE: no busy timeout helps a transaction that reads first and writes
later, because its snapshot may be too old (SQLITE_BUSY_SNAPSHOT).
"""

from __future__ import annotations

import sqlite3
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

from duly.model.finding import Finding
from duly.store.claims.query import CLAIMED, chosen_runs, claim_order
from duly.store.dialect import Choice, Mark
from duly.store.dialects import sqlite_examination
from duly.store.dialects.on_conflict import overwriting
from duly.store.dialects.read_only import discard_read_only
from duly.store.dialects.sqlite_file_system import refuse_unsafe
from duly.store.notifier import NoticeDialect
from duly.store.tables import run
from duly.store.transitions import claim_values

BUSY_TIMEOUT_MS = 10_000
SWITCH_ATTEMPTS = 100
"""The number of further attempts to switch to WAL while other processes do the same."""

READ_ONLY = "duly_read_only"
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

    def begin_session(self, conn: Connection) -> None:
        """Take the writers' lock, whether or not the host's engine has begun a transaction."""
        driver: Any = conn.connection.driver_connection
        if driver.in_transaction:
            conn.execute(_TAKE_LOCK)
        else:
            conn.exec_driver_sql("BEGIN IMMEDIATE")

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


def prepare(engine: Engine) -> None:
    """Give an engine WAL, a busy timeout, foreign keys and transactions that begin as writers.

    Connecting then raises `ConfigurationError` if the file is on a network file system, has several
    hard links, or is mounted without its folder.
    """
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
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


def _on_begin(conn: Connection) -> None:
    deferred = conn.get_execution_options().get(READ_ONLY, False)
    conn.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")


def _is_read_only(error: BaseException) -> bool:
    """Return whether SQLite opened the file for reading only, which it does not revise later."""
    return "readonly database" in str(error)


def _claim(choice: Choice) -> Any:
    chosen = select(chosen_runs(choice).subquery().c.id)
    return update(run).where(run.c.id.in_(chosen)).values(claim_values()).returning(*CLAIMED)


_TAKE_LOCK = update(run).where(false()).values(token=run.c.token)
_CLAIMS = {choice: _claim(choice) for choice in Choice}
