"""The interface of a database dialect; `duly.store.dialects` implements it for each database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from sqlalchemy import URL, Connection, Engine, Row, Table
from sqlalchemy.exc import DBAPIError

from duly.model.finding import Finding
from duly.store.notifier import NoticeDialect

AUTOCOMMIT = (
    "the session is in AUTOCOMMIT: each of its statements commits by itself, so that what Duly "
    "stores there could not be rolled back with the rest; use a session whose isolation_level is "
    "not 'AUTOCOMMIT', or, on a connection of the driver, switch autocommit off or begin a "
    "transaction first"
)

IDLE_LIMIT_S = 20.0
"""Seconds after which a server ends an idle transaction of Duly's."""


class Choice(Enum):
    """Which runs a claim may take.

    ``PLAIN``: runs of a queue without a concurrency key, in claim order. Parameters:
    ``claim_queue``, ``now``, ``tasks`` (a list), ``limit``.

    ``PREFETCH``: those of them that may be claimed before a slot becomes free. A unique key that is
    released at the claim must not be released before the run starts. The same parameters.

    ``LISTED``: those of the runs in ``ids`` that are ready.
    """

    PLAIN = auto()
    PREFETCH = auto()
    LISTED = auto()


class Mark(NamedTuple):
    """A low-water mark: no claimable run of this priority lies before it in claim order."""

    priority: int
    due_at: datetime
    id: str


class StoreDialect(Protocol):
    """One database.

    Attributes:
        name: the name of the SQLAlchemy dialect.
        has_server_clock: whether a server has a clock that all workers follow.
        leases_by_heartbeat: whether a worker is alive as long as its heartbeat renews its lease;
            otherwise it holds a file lock, which the kernel frees when the process dies.
        many_writers: whether transactions can write at the same time, so that they lock rows;
            otherwise a transaction that writes makes all other writers wait.
        has_change_counter: whether a connection can find out cheaply whether others have committed.
        session_limit: seconds for which a transactional function may hold its transaction open,
            because all other writers wait for it; ``None``: no limit.
        transactional_ddl: whether DDL is part of its transaction; otherwise it commits at once.
        keeps_dead: whether a claim scans the index entries of all runs claimed before, while any
            session holds an old snapshot; then it can start at marks.
        encoding: the encoding of the database, as Python names it, if it lacks characters; known
            once there has been a connection; ``None`` if it stores every character.
        notices: how processes wake each other; ``None``: they only poll.
        reading: execution options of a connection that only reads.
        single: execution options of a connection on which each statement is a transaction; empty:
            there are none.
        inserts_with_update: whether one statement can update rows and insert what it computes from
            them.
    """

    name: str
    has_server_clock: bool
    leases_by_heartbeat: bool
    many_writers: bool
    has_change_counter: bool
    transactional_ddl: bool
    keeps_dead: bool
    session_limit: float | None
    encoding: str | None
    notices: NoticeDialect | None
    reading: Mapping[str, Any]
    single: Mapping[str, Any]
    inserts_with_update: bool

    def create_engine(self, url: URL) -> Engine:
        """Create an engine with the settings that Duly's promises need."""

    def heartbeat_engine(self, url: URL, patience: float) -> Engine | None:
        """Create an engine with one connection for heartbeats.

        Args:
            url: the database.
            patience: time limit in seconds for connecting, locks and answers.

        Returns:
            ``None`` if leases do not depend on heartbeats.
        """

    def begin_write(self, conn: Connection) -> None:
        """Prepare a transaction, Duly's own or a caller's, before it reads what it will change."""

    def join_session(self, conn: Connection) -> None:
        """Make sure that the next statements belong to a transaction that the caller ends.

        Raises:
            TransactionError: they would be committed by themselves, or by a savepoint's release.
        """

    def read_latest(self, conn: Connection) -> AbstractContextManager[None]:
        """Make the queries of a joined transaction see what is committed when they are executed.

        Raises:
            TransactionError: the isolation of the caller's transaction prevents it.
        """

    def begin_session(self, conn: Connection) -> None:
        """Prepare a transaction that has been joined for a transactional function."""

    def holds_session(self, conn: Connection) -> bool:
        """Return whether a statement would still belong to that transaction, as far as known."""

    def cut_session(self, conn: Connection) -> None:
        """Roll back another thread's transaction, and make its further statements fail."""

    def driver_in_transaction(self, driver: Any) -> bool:
        """Return whether a transaction was begun on a connection of the driver."""

    def driver_cursor(self, dbapi: Any, driver: Any) -> Any:
        """Return a cursor that returns tuples, whatever the host has set on its connection.

        Args:
            dbapi: the driver's module.
            driver: a connection that the host has opened with it.
        """

    def driver_defaults(self, dbapi: Any, driver: Any) -> AbstractContextManager[None]:
        """Suspend the host's settings of its connection that change the values which are read."""

    def server_identity(self, conn: Connection) -> str:
        """Return an identity of the server and its timeline, of at most 64 characters.

        When it changes, the last commits may be lost. It is empty if it cannot be known.
        """

    def server_time(self, conn: Connection) -> datetime:
        """Return the present instant by the database server's clock."""

    def examine(self, conn: Connection, processes: int) -> list[Finding]:
        """Report on the database's version and settings, and on sessions that slow it down.

        Args:
            conn: a connection.
            processes: the number of processes whose lease is valid.
        """

    def is_pooled(self, conn: Connection) -> bool:
        """Return whether a connection does not lead to the server itself, but to a pooler."""

    def migration_lock(self, conn: Connection) -> AbstractContextManager[None]:
        """Lock migrations: one process at a time changes the tables."""

    def lock_rows(self, statement: Any, *, skip_locked: bool = False, share: bool = False) -> Any:
        """Return the SELECT with row locks, if the database has them."""

    def upsert(
        self, conn: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]
    ) -> None:
        """Insert a row, or overwrite the row with the same keys."""

    def add_counts(
        self,
        conn: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        keys: Sequence[str],
    ) -> None:
        """Insert rows, or add the ``count`` of each to that of the row with the same keys.

        Args:
            conn: the connection.
            table: the table.
            rows: one or more, sorted, so that two transactions cannot deadlock.
            keys: the columns of the table's primary key.
        """

    def claim(
        self,
        conn: Connection,
        claim: Mapping[str, Any],
        choice: Choice = Choice.PLAIN,
        marks: Sequence[Mark] = (),
    ) -> Sequence[Row[Any]]:
        """Make ready runs running, and return them in claim order.

        Args:
            conn: the connection.
            claim: the parameters ``claim`` (the claim's id), ``worker`` and ``now``, and those of
                the choice.
            choice: which runs may be claimed.
            marks: sorted low-water marks, at most one for each priority; used if `keeps_dead`.
        """

    def in_schema(self, conn: Connection) -> AbstractContextManager[None]:
        """Find Duly's tables on the caller's connection inside the block; see `Store`."""

    def create_schema(self, conn: Connection) -> None:
        """Create the schema of the tables, if one is given and it does not exist."""

    def is_ddl_forbidden(self, error: DBAPIError) -> bool:
        """Return whether an error means that the role may not create or change tables."""

    def is_missing_table(self, error: DBAPIError) -> bool:
        """Return whether an error means that a table does not exist."""

    def is_unavailable(self, error: BaseException) -> bool:
        """Return whether an error means that the database does not answer."""

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error means that the same transaction may succeed if run again."""


def in_autocommit(conn: Connection) -> bool:
    """Return whether each statement on a connection commits by itself."""
    driver: Any = conn.connection.dbapi_connection
    mode = getattr(driver, "autocommit", None)
    if isinstance(mode, bool):  # sqlite3 since Python 3.12, which then ignores isolation_level
        return mode
    return conn.dialect.detect_autocommit_setting(driver)
