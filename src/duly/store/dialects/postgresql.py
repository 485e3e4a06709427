"""PostgreSQL: row locks, one clock for all workers."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Table,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.schema import CreateSchema

from duly.errors import TransactionError
from duly.model.finding import Finding
from duly.store.dialect import AUTOCOMMIT, IDLE_LIMIT_S, Choice, Mark, in_autocommit
from duly.store.dialects import postgresql_claim, postgresql_examination
from duly.store.dialects.dead_connections import replace_dead
from duly.store.dialects.on_conflict import adding, overwriting
from duly.store.dialects.postgresql_notifier import PostgreSQLNotifier
from duly.store.dialects.read_only import discard_read_only
from duly.store.notifier import NoticeDialect

MIGRATION_LOCK = 0x64756C79
"""Advisory lock number: the letters of "duly"."""

CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_MS = 5_000
"""The longest time in milliseconds for which a worker waits for another transaction."""

PLANNING: Mapping[str, int | str] = {
    "enable_seqscan": 0, "jit": 0, "plan_cache_mode": "force_generic_plan",
}  # fmt: skip
"""Each of Duly's statements has its index, but the planner takes tables that were never analysed,
or have grown since, for small ones and scans them. The best plan does not depend on the parameters,
so a statement is planned once."""

_READABLE: Mapping[str, int | str] = {"datestyle": "ISO"}
"""The only style in which psycopg reads instants, whatever the server's own is."""

_RESET_PLANNING = "; ".join(f"SET LOCAL {name} TO DEFAULT" for name in PLANNING)
_OWN = "duly_own"
"""Marks a connection of Duly's own, which has Duly's settings."""

FORBIDDEN = frozenset({"42501", "3F000"})
"""The role may not do it; or there is no schema in its search path in which it may."""

SNAPSHOTS = frozenset({"REPEATABLE READ", "SERIALIZABLE"})
"""Isolation levels of transactions that read the state in which they began."""

TRANSIENT = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure; deadlock; lock timeout."""

KEEPALIVES = {
    "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}  # fmt: skip


class PostgreSQL:
    """See `StoreDialect`.

    Args:
        pooler: whether connections go through a transaction pooler such as PgBouncer, so that
            nothing may be kept in a database session.
        idle_limit: seconds after which the server ends an idle transaction of Duly's.
        schema: the schema of the tables, which comes first in the search path of Duly's
            connections; ``None``: the role's own search path.
    """

    name = "postgresql"
    has_server_clock = True
    leases_by_heartbeat = True
    many_writers = True
    has_change_counter = False
    transactional_ddl = True
    keeps_dead = True
    inserts_with_update = True
    session_limit: float | None = None
    encoding: str | None = None
    notices: NoticeDialect | None = PostgreSQLNotifier()
    reading: Mapping[str, Any]
    """Without a transaction, which would take two round trips and whose rollback would make psycopg
    discard its prepared statements; unprepared, a query takes longer to plan than to execute."""
    single: Mapping[str, Any]

    def __init__(
        self, pooler: bool = False, idle_limit: float = IDLE_LIMIT_S, schema: str | None = None
    ) -> None:
        self._pooler = pooler
        self._schema = schema
        self._idle_ms = math.ceil(1000 * idle_limit)
        self._kept: dict[str, Any] = {"prepare_threshold": None} if pooler else {}
        self.reading = self.single = {} if pooler else {"isolation_level": "AUTOCOMMIT"}

    def create_engine(self, url: URL) -> Engine:
        """See `StoreDialect.create_engine`."""
        engine = create_engine(
            url,
            pool_size=8,
            max_overflow=24,
            pool_use_lifo=True,
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, **KEEPALIVES, **self._kept},
        )
        idle = {"idle_in_transaction_session_timeout": self._idle_ms}
        limits = {"lock_timeout": LOCK_TIMEOUT_MS, **idle}
        return self._set_up(engine, {**limits, **PLANNING, **_READABLE})

    def heartbeat_engine(self, url: URL, patience: float) -> Engine | None:
        """See `StoreDialect.heartbeat_engine`."""
        limit = math.ceil(patience)
        limits = {
            "connect_timeout": max(2, limit), "tcp_user_timeout": limit * 1000,
            "keepalives_idle": limit, "keepalives_interval": 1,
        }  # fmt: skip
        engine = create_engine(
            url,
            pool_size=1,
            max_overflow=0,
            pool_timeout=patience,
            isolation_level="READ COMMITTED",
            connect_args={**KEEPALIVES, **limits, **self._kept},
        )
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        return self._set_up(engine, {**dict.fromkeys(names, limit * 1000), **_READABLE})

    def begin_write(self, conn: Connection) -> None:
        """Make instants readable on a caller's connection; rows are locked as they are read."""
        if _OWN not in conn.info:
            driver = conn.connection.driver_connection
            info = getattr(driver, "info", None)  # psycopg reads instants in one style only
            style = info.parameter_status("DateStyle") if info is not None else None
            if style is not None and not style.startswith("ISO"):
                conn.exec_driver_sql("SET LOCAL datestyle = 'ISO'")

    def join_session(self, conn: Connection) -> None:
        """See `StoreDialect.join_session`."""
        if in_autocommit(conn) and not self.driver_in_transaction(
            conn.connection.driver_connection
        ):
            raise TransactionError(AUTOCOMMIT)

    @contextmanager
    def read_latest(self, conn: Connection) -> Iterator[None]:
        """See `StoreDialect.read_latest`; rows that were inserted later cannot be read at all."""
        level = conn.get_isolation_level()
        if level in SNAPSHOTS:
            raise TransactionError(
                f"the session's isolation is {level}: it does not see what others have committed "
                "since it began, which this call needs to see; use a session whose isolation_level "
                "is 'READ COMMITTED'. Of the calls that write, only enqueue without unique_key "
                "works in it"
            )
        yield

    def begin_session(self, conn: Connection) -> None:
        """Suspend the idle limit, and restore the server's own planner settings."""
        conn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        if _OWN in conn.info:
            conn.exec_driver_sql(_RESET_PLANNING)
        elif self._schema is not None:  # where the session's own tables are found as well
            conn.execute(_PREPEND_PATH, {"schema": self._schema})

    def holds_session(self, conn: Connection) -> bool:
        """See `StoreDialect.holds_session`; a statement outside a transaction begins another."""
        return not in_autocommit(conn)

    def cut_session(self, conn: Connection) -> None:
        """Do nothing: an open transaction does not block others."""

    def driver_in_transaction(self, driver: Any) -> bool:
        """See `StoreDialect.driver_in_transaction`."""
        return bool(driver.info.transaction_status)  # 0: idle

    def driver_cursor(self, dbapi: Any, driver: Any) -> Any:
        """See `StoreDialect.driver_cursor`; a cursor copies the loaders of its connection."""
        cursor = dbapi.Cursor(driver, row_factory=dbapi.rows.tuple_row)
        for name in _READ_TYPES:
            oid = dbapi.adapters.types[name].oid
            for form in dbapi.pq.Format:
                cursor.adapters.register_loader(oid, dbapi.adapters.get_loader(oid, form))
        return cursor

    def driver_defaults(self, dbapi: Any, driver: Any) -> AbstractContextManager[None]:
        """Do nothing: `driver_cursor` has done it."""
        return nullcontext()

    def server_identity(self, conn: Connection) -> str:
        """Return the cluster's id and its timeline, which rises when a standby takes over."""
        try:
            with conn.begin_nested():
                return str(conn.execute(_IDENTITY).scalar_one())
        except (ProgrammingError, NotSupportedError):
            return ""

    def server_time(self, conn: Connection) -> datetime:
        """See `StoreDialect.server_time`."""
        now: datetime = conn.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def examine(self, conn: Connection, processes: int) -> list[Finding]:
        """See `StoreDialect.examine`."""
        return postgresql_examination.examine(conn, processes)

    def is_pooled(self, conn: Connection) -> bool:
        """Return whether the process that serves the connection is not the one that opened it."""
        driver: Any = conn.connection.driver_connection
        return bool(driver.info.backend_pid != conn.execute(_BACKEND).scalar_one())

    @contextmanager
    def migration_lock(self, conn: Connection) -> Iterator[None]:
        """Take an advisory lock until the transaction ends."""
        conn.execute(text("set local lock_timeout = '60s'"))
        conn.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        yield

    def lock_rows(self, statement: Any, *, skip_locked: bool = False, share: bool = False) -> Any:
        """See `StoreDialect.lock_rows`."""
        return statement.with_for_update(skip_locked=skip_locked, read=share)

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
        """See `StoreDialect.claim`."""
        return postgresql_claim.claim(conn, claim, choice, marks)

    @contextmanager
    def in_schema(self, conn: Connection) -> Iterator[None]:
        """Put the schema first in the search path, and restore that afterwards.

        After an error the caller's rollback restores it.
        """
        if self._schema is None:
            yield
            return
        former = conn.execute(_PATH).scalar_one()
        conn.execute(_PREPEND_PATH, {"schema": self._schema})
        yield
        conn.execute(_SET_PATH, {"path": former})

    def create_schema(self, conn: Connection) -> None:
        """See `StoreDialect.create_schema`; a role without rights may still use an existing one."""
        if self._schema is not None and not inspect(conn).has_schema(self._schema):
            conn.execute(CreateSchema(self._schema))

    def is_ddl_forbidden(self, error: DBAPIError) -> bool:
        """See `StoreDialect.is_ddl_forbidden`."""
        forbidden = getattr(error.orig, "sqlstate", None) in FORBIDDEN
        return forbidden and bool(_DDL.match(error.statement or ""))

    def is_missing_table(self, error: DBAPIError) -> bool:
        """See `StoreDialect.is_missing_table`."""
        return getattr(error.orig, "sqlstate", None) == "42P01"

    def is_unavailable(self, error: BaseException) -> bool:
        """See `StoreDialect.is_unavailable`."""
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        return isinstance(error, OperationalError | InterfaceError) and (
            getattr(error.orig, "sqlstate", None) is None
            or str(error.orig.sqlstate)[:2] in ("08", "57", "53")  # type: ignore[union-attr]
        )

    def is_transient(self, error: BaseException) -> bool:
        """See `StoreDialect.is_transient`."""
        orig = error.orig if isinstance(error, DBAPIError) else None
        return getattr(orig, "sqlstate", None) in TRANSIENT

    def _set_up(self, engine: Engine, settings: Mapping[str, int | str]) -> Engine:
        """Apply settings to each connection of an engine; behind a pooler, to every transaction."""

        def learn_encoding(connection: Any, _record: Any) -> None:
            self.encoding = _encoding_of(connection)

        def on_connect(connection: Any, record: Any) -> None:
            record.info[_OWN] = True
            connection.execute(_set("SESSION", settings))
            if self._schema is not None:
                connection.execute(_PREPEND.format("%s", "false"), [self._schema])
            connection.commit()

        def on_begin(conn: Connection) -> None:
            conn.info[_OWN] = True
            if conn.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                conn.exec_driver_sql(_set("LOCAL", settings))
                if self._schema is not None:
                    conn.execute(_PREPEND_PATH, {"schema": self._schema})

        replace_dead(engine)
        discard_read_only(engine, _is_read_only)
        event.listen(engine, "connect", learn_encoding)
        if self._pooler:
            event.listen(engine, "begin", on_begin)
        else:
            event.listen(engine, "connect", on_connect)
        return engine


def _is_read_only(error: BaseException) -> bool:
    """Return whether the server is a standby, or is set to refuse writes."""
    state = getattr(error, "sqlstate", None)
    return state == "25006" or (state == "55000" and "recovery is in progress" in str(error))


def _encoding_of(connection: Any) -> str | None:
    """Return Python's name of a database's encoding, or ``None`` if it has every character."""
    server = connection.info.parameter_status("server_encoding") or "UTF8"
    if server in ("UTF8", "SQL_ASCII"):  # the latter stores bytes as they come
        return None
    try:
        return codecs.lookup(server.replace("WIN", "cp")).name
    except LookupError:
        return "ascii"


def _set(scope: str, settings: Mapping[str, int | str]) -> str:
    return "; ".join(f"SET {scope} {name} = {value}" for name, value in settings.items())


_READ_TYPES = ("bool", "int2", "int4", "int8", "float8", "text", "varchar", "uuid", "timestamptz")
"""The types of the columns and expressions that Duly reads."""

_PREPEND = (
    "select set_config('search_path', concat_ws(', ', quote_ident({}),"
    " nullif(current_setting('search_path'), '')), {})"
)
_PREPEND_PATH = text(_PREPEND.format(":schema", "true"))
_PATH = text("select current_setting('search_path')")
_SET_PATH = text("select set_config('search_path', :path, true)")
_DDL = re.compile(r"\s*(?:create|alter|drop)\s", re.IGNORECASE)
_BACKEND = select(func.pg_backend_pid())
_IDENTITY = text(
    "select system_identifier || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
    " from pg_control_system()"
)
