"""MariaDB and MySQL: row locks, one clock for all workers, no partial indexes.

The isolation is always READ COMMITTED: under REPEATABLE READ, the servers' default, an *empty*
claim locks the gap that it scanned, and all inserts wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    bindparam,
    create_engine,
    event,
    select,
    text,
    update,
)
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DBAPIError

from duly.errors import SchemaError, TransactionError
from duly.model.finding import Finding
from duly.store.claims.query import CLAIMED, chosen_runs, claim_order
from duly.store.dialect import AUTOCOMMIT, IDLE_LIMIT_S, Choice, Mark, in_autocommit
from duly.store.dialects import mariadb_examination
from duly.store.dialects.mariadb_ddl import DDL, Types
from duly.store.dialects.read_only import discard_read_only
from duly.store.notifier import NoticeDialect
from duly.store.tables import run
from duly.store.transitions import claim_values

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
LOCK_TIMEOUT_S = 5
"""The longest time in seconds for which a worker waits for another transaction."""

MIGRATION_WAIT_S, MIGRATION_WAITS = 5, 12
"""Seconds for which a request for the migration lock waits, and the number of requests."""

RECYCLE_S = 1800
"""Seconds after which a connection is replaced, before a server or proxy closes it as idle."""

SQL_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION"
)
_LIMIT, _UNLIMITED = "duly_idle_limit", "duly_unlimited"
"""Marks on a connection of Duly's own: its idle limit, and that the limit is suspended."""

_LOCK_NAME = "concat('duly:', md5(database()))"
"""The name includes the database, because such locks are global to the server."""

_IN_TRANSACTION = 1
"""The bit SERVER_STATUS_IN_TRANS of the status that the server sends with each answer."""

COMMAND_DENIED = 1142
NO_SUCH_TABLE = 1146
NO_SUCH_VARIABLE = 1193
TRANSIENT = frozenset({1020, 1205, 1213})
"""The row has changed since it was read; lock wait timeout; deadlock."""

READ_ONLY = frozenset({1036, 1047, 1290, 1792, 1836, 1874})
"""The server refuses writes: ``read_only``, ``super_read_only``, ``innodb_read_only``, a standby,
or a node that is not part of its cluster."""

UNAVAILABLE = READ_ONLY | frozenset({
    0, 2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2045, 2055,  # the client is not connected
    1040, 1041, 1042, 1043, 1044, 1045, 1049, 1129, 1130, 1203, 1226,  # the connection is refused
    1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031,  # disconnected
    3, 1021, 1026, 1030, 1114,  # the disk is full or broken
})  # fmt: skip


class MariaDB:
    """See `StoreDialect`.

    Args:
        idle_limit: seconds after which MariaDB ends an idle transaction of Duly's; MySQL has no
            such limit.
    """

    name = "mysql"
    has_server_clock = True
    leases_by_heartbeat = True
    many_writers = True
    has_change_counter = False
    session_limit: float | None = None
    encoding: str | None = None
    transactional_ddl = False
    keeps_dead = False
    inserts_with_update = False
    notices: NoticeDialect | None = None
    reading: Mapping[str, Any] = {}
    single: Mapping[str, Any] = {}

    def __init__(self, idle_limit: float = IDLE_LIMIT_S) -> None:
        self._idle_s = math.ceil(idle_limit)

    def create_engine(self, url: URL) -> Engine:
        """See `StoreDialect.create_engine`."""
        return _engine(
            url, READ_TIMEOUT_S, LOCK_TIMEOUT_S, self._idle_s, pool_size=8, max_overflow=24
        )

    def heartbeat_engine(self, url: URL, patience: float) -> Engine | None:
        """See `StoreDialect.heartbeat_engine`."""
        limit = max(2, math.ceil(patience))
        return _engine(url, limit, limit, limit, pool_size=1, max_overflow=0, pool_timeout=patience)

    def begin_write(self, conn: Connection) -> None:
        """Do nothing: rows are locked as they are read."""

    def join_session(self, conn: Connection) -> None:
        """See `StoreDialect.join_session`."""
        if in_autocommit(conn) and not self.driver_in_transaction(
            conn.connection.driver_connection
        ):
            raise TransactionError(AUTOCOMMIT)

    @contextmanager
    def read_latest(self, conn: Connection) -> Iterator[None]:
        """See `StoreDialect.read_latest`: only a query that locks rows reads their latest state."""
        if conn.get_isolation_level() == "READ COMMITTED":
            yield
            return
        event.listen(conn, "before_execute", _lock_query, retval=True)
        try:
            yield
        finally:
            event.remove(conn, "before_execute", _lock_query)

    def begin_session(self, conn: Connection) -> None:
        """Suspend the idle limit.

        A connection of the host keeps its own limit: it belongs to the connection and not to the
        transaction, and would have to be restored.
        """
        if _LIMIT in conn.info and conn.dialect.is_mariadb:  # type: ignore[attr-defined]
            conn.exec_driver_sql("SET SESSION idle_transaction_timeout = 0")
            conn.info[_UNLIMITED] = True

    def holds_session(self, conn: Connection) -> bool:
        """See `StoreDialect.holds_session`; a statement outside a transaction begins another."""
        return not in_autocommit(conn)

    def cut_session(self, conn: Connection) -> None:
        """Do nothing: an open transaction does not block others."""

    def driver_in_transaction(self, driver: Any) -> bool:
        """See `StoreDialect.driver_in_transaction`."""
        return bool(driver.server_status & _IN_TRANSACTION)

    def driver_cursor(self, dbapi: Any, driver: Any) -> Any:
        """See `StoreDialect.driver_cursor`."""
        return dbapi.cursors.Cursor(driver)

    @contextmanager
    def driver_defaults(self, dbapi: Any, driver: Any) -> Iterator[None]:
        """See `StoreDialect.driver_defaults`."""
        defaults = {
            "decoders": dbapi.converters.decoders, "encoders": dbapi.converters.encoders,
            "use_unicode": True,
        }  # fmt: skip
        given = {name: getattr(driver, name) for name in defaults}
        vars(driver).update(defaults)
        try:
            yield
        finally:
            vars(driver).update(given)

    def server_identity(self, conn: Connection) -> str:
        """Return the server's own id; a replica that takes over has another one."""
        is_mariadb = conn.dialect.is_mariadb  # type: ignore[attr-defined]
        try:
            row = conn.execute(
                text("select @@server_uid" if is_mariadb else "select @@server_uuid")
            )
            return str(row.scalar_one())
        except DBAPIError as error:
            if _code(error) != NO_SUCH_VARIABLE:
                raise
            return ""

    def server_time(self, conn: Connection) -> datetime:
        """See `StoreDialect.server_time`."""
        now: datetime = conn.execute(text("select utc_timestamp(6)")).scalar_one()
        return now.replace(tzinfo=UTC)

    def examine(self, conn: Connection, processes: int) -> list[Finding]:
        """See `StoreDialect.examine`."""
        return mariadb_examination.examine(conn, processes)

    def is_pooled(self, conn: Connection) -> bool:
        """Return false: poolers of this protocol keep the sessions of their clients apart."""
        return False

    @contextmanager
    def migration_lock(self, conn: Connection) -> Iterator[None]:
        """Take a lock of the connection, because each DDL statement commits and ends row locks.

        It is requested repeatedly, because no answer may take longer than the read timeout. The
        migration is committed before the lock is released, so that the next process sees it.

        Raises:
            SchemaError: the server cannot take the lock, or another process does not release it.
        """
        self._take_migration_lock(conn)
        try:
            yield
            conn.connection.commit()
        finally:
            if not conn.invalidated:
                conn.execute(text(f"select release_lock({_LOCK_NAME})"))

    def _take_migration_lock(self, conn: Connection) -> None:
        request = text(f"select get_lock({_LOCK_NAME}, {MIGRATION_WAIT_S})")
        for _round in range(MIGRATION_WAITS):
            taken = conn.execute(request).scalar()
            if taken:
                return
            if taken is None:
                raise SchemaError(
                    "the server failed to take the lock for migrations, and nothing was changed: "
                    "GET_LOCK returned NULL; look into the server's error log, and start again"
                )
        holder = conn.execute(text(f"select is_used_lock({_LOCK_NAME})")).scalar()
        raise SchemaError(
            f"connection {holder} of the server has held the lock for migrations for "
            f"{MIGRATION_WAITS * MIGRATION_WAIT_S} s, and nothing was changed here. Start again if "
            "that migration is still at work (SHOW PROCESSLIST); if its process is gone, end its "
            f"connection with KILL {holder}"
        )

    def lock_rows(self, statement: Any, *, skip_locked: bool = False, share: bool = False) -> Any:
        """See `StoreDialect.lock_rows`."""
        return statement.with_for_update(skip_locked=skip_locked, read=share)

    def upsert(
        self, conn: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]
    ) -> None:
        """See `StoreDialect.upsert`."""
        changed = {name: value for name, value in row.items() if name not in keys}
        conn.execute(insert(table).values(**row).on_duplicate_key_update(changed))

    def add_counts(
        self,
        conn: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        keys: Sequence[str],
    ) -> None:
        """See `StoreDialect.add_counts`; the database finds the keys itself."""
        del keys
        statement = insert(table)
        total = table.c["count"] + statement.inserted["count"]
        conn.execute(statement.on_duplicate_key_update(count=total), rows)

    def claim(
        self,
        conn: Connection,
        claim: Mapping[str, Any],
        choice: Choice = Choice.PLAIN,
        marks: Sequence[Mark] = (),
    ) -> Sequence[Row[Any]]:
        """See `StoreDialect.claim`."""
        ids = list(conn.execute(_READY[choice], claim).scalars())
        if not ids:
            return []
        conn.execute(_CLAIM, {**claim, "ids": ids})
        return sorted(conn.execute(_CLAIMED, {"ids": ids}).all(), key=claim_order)

    def in_schema(self, conn: Connection) -> AbstractContextManager[None]:
        """Do nothing: its schemas are databases."""
        return nullcontext()

    def create_schema(self, conn: Connection) -> None:
        """Do nothing: its schemas are databases."""

    def is_ddl_forbidden(self, error: DBAPIError) -> bool:
        """See `StoreDialect.is_ddl_forbidden`."""
        return _code(error) == COMMAND_DENIED and _is_ddl(error)

    def is_missing_table(self, error: DBAPIError) -> bool:
        """See `StoreDialect.is_missing_table`."""
        return _code(error) == NO_SUCH_TABLE

    def is_unavailable(self, error: BaseException) -> bool:
        """See `StoreDialect.is_unavailable`."""
        if not isinstance(error, DBAPIError):
            return False
        return error.connection_invalidated or _code(error) in UNAVAILABLE

    def is_transient(self, error: BaseException) -> bool:
        """See `StoreDialect.is_transient`."""
        return isinstance(error, DBAPIError) and _code(error) in TRANSIENT


def _lock_query(_conn: Connection, clause: Any, many: Any, one: Any, _options: Any) -> Any:
    """Turn a query into one that locks the rows that it reads."""
    if isinstance(clause, Select) and clause._for_update_arg is None:
        clause = clause.with_for_update()
    return clause, many, one


def _ready(choice: Choice) -> Any:
    """Read in the order of the index: to sort the ready rows, the server would lock them all.

    The hint is needed because the optimizer prefers another index among few rows, and does not
    infer that all keys are NULL, so that nothing needs sorting.
    """
    wanted = chosen_runs(choice).with_for_update(skip_locked=True)
    if choice is Choice.LISTED:
        return wanted
    ordered = wanted.order_by(None).order_by(run.c.priority, run.c.due_at, run.c.id)
    return ordered.with_hint(run, "FORCE INDEX (duly_run_ready)", "mysql")


_READY = {choice: _ready(choice) for choice in Choice}
_IDS = run.c.id.in_(bindparam("ids", expanding=True))
_CLAIM = update(run).where(_IDS).values(claim_values())
_CLAIMED: Select[Any] = select(*CLAIMED).where(_IDS)


def _engine(url: URL, read_timeout: int, lock_timeout: int, idle: int, **pool: Any) -> Engine:
    """Create an engine whose connections have the settings that Duly's promises need."""
    settings = (
        f"SET SESSION time_zone = '+00:00', sql_mode = '{SQL_MODE}',"
        f" innodb_lock_wait_timeout = {lock_timeout}, lock_wait_timeout = {lock_timeout}"
        f" /*M!100300 , idle_transaction_timeout = {idle} */"
    )
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_recycle=RECYCLE_S,
        isolation_level="READ COMMITTED",
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": min(CONNECT_TIMEOUT_S, read_timeout),
            "read_timeout": read_timeout,
            "write_timeout": read_timeout,
            "init_command": settings,
        },
        **pool,
    )
    engine.dialect.ddl_compiler = DDL
    types = Types(engine.dialect)
    engine.dialect.type_compiler_instance = types
    engine.dialect.type_compiler = types  # the name that Alembic uses

    def on_connect(_connection: Any, record: Any) -> None:
        record.info[_LIMIT] = idle

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", _restore_limit)
    discard_read_only(engine, lambda error: _number(error) in READ_ONLY)
    return engine


def _restore_limit(conn: Connection) -> None:
    """Restore the idle limit after the transaction of a transactional function."""
    if conn.info.pop(_UNLIMITED, False):
        conn.exec_driver_sql(f"SET SESSION idle_transaction_timeout = {conn.info[_LIMIT]}")


def _code(error: DBAPIError) -> int | None:
    """Return the number that the server or the driver gives an error."""
    return _number(error.orig)


def _is_ddl(error: DBAPIError) -> bool:
    return (error.statement or "").lstrip().upper().startswith(("CREATE", "ALTER", "DROP"))


def _number(error: BaseException | None) -> int | None:
    args = getattr(error, "args", ())
    return args[0] if args and isinstance(args[0], int) else None
