"""Connections that a host has opened with the database driver itself, without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import LRUCache

from duly.store.dialect import StoreDialect

_CACHED_STATEMENTS = 500


class DriverConnections:
    """Lets SQLAlchemy work on connections of the driver.

    Args:
        dialect: the database.
        engine: Duly's own engine, whose driver the host's must be.
    """

    def __init__(self, dialect: StoreDialect, engine: Engine) -> None:
        self._dialect = dialect
        self._sqlalchemy = engine.dialect
        self._dbapi: Any = engine.dialect.loaded_dbapi
        self._compiled = LRUCache[Any, Any](_CACHED_STATEMENTS)

    @property
    def kind(self) -> str:
        """The qualified name of the class of connections that are accepted."""
        kind: type = self._dbapi.Connection
        return f"{kind.__module__}.{kind.__qualname__}"

    def accepts(self, given: object) -> bool:
        """Return whether something is a connection of this database's driver."""
        return isinstance(given, self._dbapi.Connection)

    def is_in_transaction(self, driver: Any) -> bool:
        """Return whether a transaction was begun on a driver's connection."""
        return self._dialect.driver_in_transaction(driver)

    def owned(self, driver: Any) -> Engine:
        """Return an engine whose only connection is the driver's, closed when it is returned."""
        return self._engine(DriverConnection(driver, self._cursor))

    @contextmanager
    def lent(self, driver: Any) -> Iterator[Connection]:
        """Work on a driver's connection without ending its transaction or closing it."""
        with self._engine(DriverConnection(driver, self._cursor, lent=True)).connect() as conn:
            yield conn

    def as_raised(self, error: BaseException) -> BaseException:
        """Return an error of the driver as SQLAlchemy would raise it, and others unchanged."""
        if not isinstance(error, self._dbapi.Error):
            return error
        raised: BaseException = DBAPIError.instance(None, None, error, self._dbapi.Error)
        return raised

    @contextmanager
    def readable(self, conn: Connection) -> Iterator[None]:
        """Suspend what the host has set on its driver's connection for the values it reads."""
        given = conn.connection.dbapi_connection
        if isinstance(given, DriverConnection):
            with self._dialect.driver_defaults(self._dbapi, given.driver):
                yield
        else:
            yield

    def _cursor(self, driver: Any) -> Any:
        return self._dialect.driver_cursor(self._dbapi, driver)

    def _engine(self, connection: DriverConnection) -> Engine:
        """Return a new engine, so that the identity of each connection's database is checked.

        It is not made by `create_engine`, which would initialize a dialect on the host's
        connection and roll its transaction back.
        """
        return Engine(
            NullPool(lambda: connection, reset_on_return=None),
            self._sqlalchemy,
            URL.create(self._sqlalchemy.name),
            query_cache_size=0,
            execution_options={"compiled_cache": self._compiled},
        )


class DriverConnection:
    """A driver's connection whose cursors return plain rows, however the host reads its own.

    Args:
        driver: the connection.
        cursor: returns such a cursor of it.
        lent: whether only the host ends its transaction and closes it.

    Attributes:
        driver: the connection.
    """

    def __init__(self, driver: Any, cursor: Callable[[Any], Any], *, lent: bool = False) -> None:
        self.driver = driver
        self._cursor = cursor
        self._lent = lent

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)

    def cursor(self) -> Any:
        """Return a cursor that returns tuples."""
        return self._cursor(self.driver)

    def commit(self) -> None:
        """Commit, unless it is lent."""
        if not self._lent:
            self.driver.commit()

    def rollback(self) -> None:
        """Roll back, unless it is lent."""
        if not self._lent:
            self.driver.rollback()

    def close(self) -> None:
        """Close it, unless it is lent."""
        if not self._lent:
            self.driver.close()
