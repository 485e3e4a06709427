"""Databases for tests: a temporary SQLite file, or a database that the application shares."""

from __future__ import annotations

import functools
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, QueuePool, create_engine, delete, event, exists, select

from duly.clock import Clock, SystemClock
from duly.errors import ConfigurationError
from duly.store import tables
from duly.store.host.engine import prepare_engine
from duly.store.store import Store
from duly.store.url import parse_url

MARK = "testing"
"""The row of ``duly_control`` in databases that `testing` may empty."""

KEPT = ("database_id", MARK)
_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
_free: list[TemporaryEngine]
_free = []
"""Engines that no test uses; they keep their compiled statements, which take 50 ms to compile."""


class TemporaryEngine:
    """An engine whose file changes from test to test.

    Attributes:
        engine: the engine.
        path: the file that it opens.
    """

    def __init__(self) -> None:
        self.path = Path()
        self.engine: Engine = prepare_engine(
            create_engine(
                "sqlite://", creator=self._connect, poolclass=QueuePool, pool_size=8,
                max_overflow=24,
            )
        )  # fmt: skip
        event.listen(self.engine, "connect", lambda conn, _: conn.execute("PRAGMA synchronous=OFF"))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, check_same_thread=False)


@contextmanager
def temporary_store(clock: Clock) -> Iterator[Store]:
    """Create a database file with Duly's tables; delete it when the block ends."""
    with tempfile.TemporaryDirectory(prefix="duly-test-", dir=_folder()) as folder:
        path = Path(folder, "test.db")
        path.write_bytes(_template())
        with _file_engine(path) as engine:
            yield Store(f"sqlite:///{path}", clock, engine=engine)


@contextmanager
def shared_store(url: str, clock: Clock, schema: str | None) -> Iterator[Store]:
    """Empty Duly's tables in the application's test database, and open it.

    Args:
        url: its URL.
        clock: the clock of the test.
        schema: the schema of the tables, where the database has schemas.

    Raises:
        ConfigurationError: it holds jobs or runs that no test has stored.
    """
    parsed = parse_url(url)
    schema = schema if parsed.get_backend_name() == "postgresql" else None
    path = Path(parsed.database or "")
    if parsed.get_backend_name() != "sqlite":
        opened = _server_engine(url, schema)
    else:
        if path.parent.is_dir() and not path.exists():
            path.write_bytes(_template())  # the migrations take longer
        opened = _file_engine(path)
    with opened as engine:
        store = Store(url, clock, schema=schema, engine=engine)
        _empty(store)
        yield store


@contextmanager
def _file_engine(path: Path) -> Iterator[Engine]:
    temporary = _free.pop() if _free else TemporaryEngine()
    temporary.path = path
    try:
        yield temporary.engine
    finally:
        temporary.engine.dispose()
        _free.append(temporary)


@contextmanager
def _server_engine(url: str, schema: str | None) -> Iterator[Engine]:
    """Return the engine of the previous test, if that had the same URL."""
    engine = _servers.get((url, schema)) or Store(url, SystemClock(), schema=schema).engine
    _servers.clear()
    _servers[url, schema] = engine
    try:
        yield engine
    finally:
        engine.dispose()


_servers: dict[tuple[str, str | None], Engine] = {}


def _empty(store: Store) -> None:
    marked = select(tables.control.c.name).where(tables.control.c.name == MARK)
    with store.write() as tx:
        if tx.conn.execute(marked).first() is None:
            stored = exists(select(tables.job.c.id)), exists(select(tables.run.c.id))
            if any(tx.conn.execute(select(*stored)).one()):
                raise ConfigurationError(
                    f"database={str(store)!r} holds jobs or runs that no test has stored; "
                    "testing() empties Duly's tables, so give it the database of your tests"
                )
            tx.conn.execute(tables.control.insert(), {"name": MARK, "value": "1"})
        for table in reversed(tables.metadata.sorted_tables):
            statement = delete(table)
            if table is tables.control:
                statement = statement.where(tables.control.c.name.not_in(KEPT))
            tx.conn.execute(statement)


def _folder() -> Path | None:
    """Return a folder in memory, where there is one."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


@functools.cache
def _template() -> bytes:
    """Return a database with Duly's tables; the migrations take longer than a test."""
    with tempfile.TemporaryDirectory(prefix="duly-test-", dir=_folder()) as folder:
        path = Path(folder, "template.db")
        store = Store(f"sqlite:///{path}", SystemClock())
        store.prepare()
        store.dispose()
        return path.read_bytes()
