"""The cursor helper: plain SQL on PyMySQL or sqlite3, with a pool and transactions that end.

Statements are written as PyMySQL has them, with ``%s`` and ``FOR UPDATE``. Columns whose names end
in ``_at`` hold instants in UTC, and those whose names end in ``_date`` dates.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy import URL, QueuePool, event
from sqlalchemy.exc import DisconnectionError

Row = dict[str, Any]

_SCHEMA = Path(__file__).parent / "schema.sql"
_BUSY_MS = 5_000
_CONNECT_S, _ANSWER_S = 5, 20
_ON_SQLITE = ("INTEGER PRIMARY KEY AUTOINCREMENT", "")
_ON_MARIADB = (
    "BIGINT AUTO_INCREMENT PRIMARY KEY",
    # Not left to the server's defaults: any text, compared as SQLite does.
    " ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
)
"""The type of an id, and the options of a table."""


class Cursor:
    """A cursor whose rows are dictionaries.

    Args:
        connection: the driver's connection.
        sqlite: whether it is one of sqlite3.
    """

    def __init__(self, connection: Any, sqlite: bool) -> None:
        self._sqlite = sqlite
        self._cursor = connection.cursor()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Execute a statement, and return this cursor."""
        if self._sqlite:
            # A transaction that writes has locked the whole file, so no row needs to be locked.
            statement = statement.removesuffix(" FOR UPDATE").replace("%s", "?")
        self._cursor.execute(statement, [self._stored(value) for value in values])
        return self

    def one(self) -> Row | None:
        """Return the next row; ``None``: there is none."""
        row = self._cursor.fetchone()
        return None if row is None else self._row(row)

    def all(self) -> list[Row]:
        """Return all rows."""
        return [self._row(row) for row in self._cursor.fetchall()]

    def value(self) -> Any:
        """Return the first column of the next row; ``None``: there is no row."""
        row = self.one()
        return None if row is None else next(iter(row.values()))

    def values(self) -> list[Any]:
        """Return the first column of all rows."""
        return [next(iter(row.values())) for row in self.all()]

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Insert a row into a table that the code names, and return its id."""
        self.execute(_insertion(table, row), [*row.values()])
        return int(self._cursor.lastrowid)

    def insert_new(self, table: str, row: Mapping[str, Any]) -> int | None:
        """Insert a row unless a unique key has it already; return its id, or ``None``."""
        otherwise = "ON CONFLICT DO NOTHING" if self._sqlite else "ON DUPLICATE KEY UPDATE id = id"
        self.execute(f"{_insertion(table, row)} {otherwise}", [*row.values()])
        return int(self._cursor.lastrowid) if self.count else None

    @property
    def count(self) -> int:
        """The number of rows that the last statement has changed."""
        return int(self._cursor.rowcount)

    def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()

    def _row(self, row: Sequence[Any]) -> Row:
        names = [column[0] for column in self._cursor.description]
        return {name: _read(name, value) for name, value in zip(names, row, strict=True)}

    def _stored(self, value: Any) -> Any:
        if isinstance(value, datetime):
            value = value.astimezone(UTC).replace(tzinfo=None)
        if not self._sqlite:
            return value
        if isinstance(value, date):  # or a datetime
            return value.isoformat(*(" ", "microseconds") if isinstance(value, datetime) else ())
        return float(value) if isinstance(value, Decimal) else value


def _insertion(table: str, row: Mapping[str, Any]) -> str:
    marks = ", ".join(["%s"] * len(row))
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - names of code


def _read(name: str, value: Any) -> Any:
    if value is None or not name.endswith(("_at", "_date")):
        return value
    if name.endswith("_date"):
        return date.fromisoformat(value) if isinstance(value, str) else value
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC)


def _check(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool replace a connection that the server has closed, at a restart for example."""
    try:
        connection.ping(reconnect=False)
    except pymysql.MySQLError as error:
        raise DisconnectionError(str(error)) from error


class DatabaseManager:
    """The database of an application: connections, cursors and transactions.

    Args:
        url: SQLite, or MariaDB/MySQL.
        pool_size: the most connections that this process holds.
    """

    def __init__(self, url: URL, pool_size: int = 5) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._file = Path(url.database or "").resolve()
            self._file.parent.mkdir(parents=True, exist_ok=True)
        self._pool = QueuePool(self._open, pool_size=pool_size, max_overflow=0)
        if not self.is_sqlite:
            event.listen(self._pool, "checkout", _check)

    @contextmanager
    def get_db_cursor(self, *, write: bool = True) -> Iterator[tuple[Cursor, Any]]:
        """Provide a cursor and the driver's connection, in one transaction.

        The transaction is committed at the end of the block. After an error, the pool rolls it back
        when the connection returns, or closes the connection if that is not possible.

        Args:
            write: whether the block writes. On SQLite, one that only reads waits for no writer.
        """
        pooled = self._pool.connect()
        connection: Any = pooled.driver_connection
        try:
            if self.is_sqlite:
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            with self.cursor_of(connection) as cursor:
                yield cursor, connection
            connection.commit()
        finally:
            pooled.close()

    @contextmanager
    def cursor_of(self, connection: Any) -> Iterator[Cursor]:
        """Provide a cursor of a connection whose transaction somebody else ends, as Duly does."""
        cursor = Cursor(connection, self.is_sqlite)
        try:
            yield cursor
        finally:
            cursor.close()

    def create_tables(self) -> None:
        """Create missing tables."""
        key, options = _ON_SQLITE if self.is_sqlite else _ON_MARIADB
        script = _SCHEMA.read_text().replace("{id}", key)
        with self.get_db_cursor() as (cursor, _connection):
            for statement in script.split(";"):
                cursor.execute(f"{statement}{options}")

    def columns_of(self, table: str) -> set[str]:
        """Return the columns of a table; empty: there is none."""
        with self.get_db_cursor(write=False) as (cursor, _connection):
            if self.is_sqlite:
                return set(
                    cursor.execute("SELECT name FROM pragma_table_info(%s)", [table]).values()
                )
            wanted = (
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = database() AND table_name = %s"
            )
            return set(cursor.execute(wanted, [table]).values())

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._pool.dispose()

    def connect(self) -> Any:
        """Open a connection outside of the pool, for Duly's transactional runs."""
        connection = self._open()
        if self.is_sqlite:
            connection.isolation_level = "IMMEDIATE"  # Duly refuses one in autocommit
        return connection

    def _open(self) -> Any:
        if self.is_sqlite:
            connection = sqlite3.connect(
                self._file, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
            )
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {pragma}")
            return connection
        return pymysql.connect(
            host=self.url.host or "127.0.0.1", port=self.url.port or 3306,
            user=self.url.username, password=str(self.url.password or ""),
            database=self.url.database, charset="utf8mb4", autocommit=False,
            connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, write_timeout=_ANSWER_S,
            init_command="SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'",
        )  # fmt: skip
