"""The simulated database: SQLite in memory, with faults injected at every transaction's edges."""

from __future__ import annotations

import atexit
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import OperationalError

from duly.clock import Clock, VirtualClock
from duly.store.dialects.sqlite import SQLite
from duly.store.dialects.sqlite_writers import READ_ONLY
from duly.store.store import Store
from simulation import audit_log

_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it


class TransactionHooks(Protocol):
    """Decides what happens to each transaction.

    Attributes:
        step: the world's step counter.
        actor: the number of the process at work; 0 for the observer, whose transactions never fail.
    """

    step: int
    actor: int

    def begin(self, *, read_only: bool) -> None:
        """Run before a transaction begins; may raise."""

    def commit(self, commit: Callable[[], None]) -> None:
        """Run before a commit; may raise, before or after it has committed with ``commit()``."""


class ConnectionLost(sqlite3.OperationalError):
    """Raised by the simulated driver when the database does not answer."""


class SimulatedDialect(SQLite):
    """SQLite's statements, optionally with the rules of a database server.

    With ``server_rules``, workers follow the server's clock and only leases tell which of them are
    alive. Without it, they are processes of one machine and hold file locks, as on SQLite.

    Args:
        engine: the engine that all stores of the world share.
        server_now: returns the server's time.
        server_rules: whether to follow the rules of a server.
    """

    session_limit: float | None = None
    encoding: str | None = None

    def __init__(
        self, engine: Engine, server_now: Callable[[], datetime], server_rules: bool
    ) -> None:
        self._engine = engine
        self._server_now = server_now
        self.has_server_clock = self.leases_by_heartbeat = self.many_writers = server_rules
        self.has_change_counter = not server_rules

    def create_engine(self, url: URL) -> Engine:
        """See `StoreDialect.create_engine`."""
        return self._engine

    def server_time(self, conn: Connection) -> datetime:
        """See `StoreDialect.server_time`."""
        return self._server_now()

    def is_unavailable(self, error: BaseException) -> bool:
        """See `StoreDialect.is_unavailable`."""
        return isinstance(getattr(error, "orig", None), ConnectionLost)


class SimulatedStore(Store):
    """A store on the world's database."""

    def __init__(self, url: str, clock: Clock, dialect: SimulatedDialect) -> None:
        super().__init__(url, clock)
        self.dialect = dialect
        self.engine = dialect.create_engine(self.url)

    def dispose(self) -> None:
        """Keep the connections open: they belong to the world."""


class SimulatedDatabase:
    """One database file in memory; a Python process has at most one at a time.

    Args:
        hooks: called at the edges of each transaction.
    """

    def __init__(self, hooks: TransactionHooks) -> None:
        shared = _shared()
        self.folder = Path(tempfile.mkdtemp(prefix="world-", dir=shared.folder))
        self.path = self.folder / "world.db"
        self.path.write_bytes(shared.template)
        self.url = f"sqlite:///{self.path}"
        self.engine = shared.engine
        shared.database, shared.hooks = self, hooks

    def close(self) -> None:
        """Delete the file."""
        self.engine.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


def connection_lost() -> OperationalError:
    """Return the error that SQLAlchemy raises for a `ConnectionLost`."""
    lost = ConnectionLost("server closed the connection unexpectedly")
    return OperationalError("(simulated)", None, lost)


def make_ready() -> None:
    """Create what all worlds of this Python process share, before the first of them begins."""
    _shared()


class _Shared:
    """A template database, and an engine that caches statements, for all worlds of a process."""

    def __init__(self) -> None:
        scratch = tempfile.mkdtemp(
            prefix="duly-simulation-", dir=_MEMORY if _MEMORY.is_dir() else None
        )
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        self.folder = Path(scratch)
        self.template = _make_template(self.folder / "template.db")
        self.database: SimulatedDatabase | None = None
        self.hooks: TransactionHooks | None = None
        self.engine = create_engine(
            "sqlite://", creator=self._connect, poolclass=QueuePool, pool_size=20
        )
        event.listen(self.engine, "begin", self._begin)
        event.listen(self.engine, "commit", self._commit)

    def _connect(self) -> sqlite3.Connection:
        if self.database is None or self.hooks is None:
            raise RuntimeError("there is no simulated database")
        hooks = self.hooks
        connection = sqlite3.connect(
            self.database.path, isolation_level=None, check_same_thread=False
        )
        connection.executescript("pragma synchronous = off; pragma busy_timeout = 0;")
        connection.create_function("sim_step", 0, lambda: hooks.step)
        connection.create_function("sim_actor", 0, lambda: hooks.actor)
        return connection

    def _begin(self, conn: Connection) -> None:
        read_only = conn.get_execution_options().get(READ_ONLY, False)
        if self.hooks is not None:
            self.hooks.begin(read_only=read_only)
        conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    def _commit(self, conn: Connection) -> None:
        driver: Any = conn.connection.driver_connection
        if self.hooks is not None:
            self.hooks.commit(driver.commit)


@functools.cache
def _shared() -> _Shared:
    return _Shared()


def _make_template(path: Path) -> bytes:
    store = Store(f"sqlite:///{path}", VirtualClock())
    store.prepare()
    store.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    audit_log.install(connection)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    return path.read_bytes()
