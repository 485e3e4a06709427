"""The simulated database: real SQLite in memory, with a fate at each boundary of a transaction."""

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
from duly.store.dialects.sqlite import READ_ONLY, SQLite
from duly.store.store import Store
from simulation import audit_log

_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it


class Fates(Protocol):
    """Who decides what becomes of a transaction.

    Attributes:
        step: the world's counter.
        actor: the number of the process at work; 0: the observer, whom nothing befalls.
    """

    step: int
    actor: int

    def begin(self) -> None:
        """Called before a transaction begins; may raise."""

    def commit(self, commit: Callable[[], None]) -> None:
        """Called instead of a commit, which it may make with ``commit()``; may raise."""


class Away(sqlite3.OperationalError):
    """What the simulated driver raises when the database does not answer."""


class SimulatedDialect(SQLite):
    """SQLite's statements; with ``shared_clock``, the rules of a database server.

    Then workers follow the server's clock, and leases alone say who is alive. Without it they are
    processes of one machine, and file locks say so, as on SQLite.

    Args:
        engine: what all stores of the world share.
        server_now: the server's clock.
        shared_clock: see above.
    """

    session_limit: float | None = None

    def __init__(
        self, engine: Engine, server_now: Callable[[], datetime], shared_clock: bool
    ) -> None:
        self._engine = engine
        self._server_now = server_now
        self.shared_clock = shared_clock

    def create_engine(self, url: URL) -> Engine:
        """See `StoreDialect.create_engine`."""
        return self._engine

    def server_time(self, conn: Connection) -> datetime:
        """See `StoreDialect.server_time`."""
        return self._server_now()

    def is_unavailable(self, error: BaseException) -> bool:
        """See `StoreDialect.is_unavailable`."""
        return isinstance(getattr(error, "orig", None), Away)


class SimulatedStore(Store):
    """A store on the world's database."""

    def __init__(self, url: str, clock: Clock, dialect: SimulatedDialect) -> None:
        super().__init__(url, clock)
        self.dialect = dialect
        self.engine = dialect.create_engine(self.url)

    def dispose(self) -> None:
        """The connections are the world's."""


class SimulatedDatabase:
    """One database file in memory. A process has one at a time.

    Args:
        fates: who decides.
    """

    def __init__(self, fates: Fates) -> None:
        held = _process()
        self.folder = Path(tempfile.mkdtemp(prefix="world-", dir=held.folder))
        self.path = self.folder / "world.db"
        self.path.write_bytes(held.template)
        self.url = f"sqlite:///{self.path}"
        self.engine = held.engine
        held.current, held.fates = self, fates

    def close(self) -> None:
        """Delete it."""
        self.engine.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


def away() -> OperationalError:
    """The error that SQLAlchemy makes of `Away`."""
    return OperationalError("(simulated)", None, Away("server closed the connection unexpectedly"))


def ready() -> None:
    """Make what all worlds of this process share, before the first of them begins."""
    _process()


class _Process:
    """What all worlds of a process share: the engine with its compiled statements, a template."""

    def __init__(self) -> None:
        scratch = tempfile.mkdtemp(
            prefix="duly-simulation-", dir=_MEMORY if _MEMORY.is_dir() else None
        )
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        self.folder = Path(scratch)
        self.template = _make_template(self.folder / "template.db")
        self.current: SimulatedDatabase | None = None
        self.fates: Fates | None = None
        self.engine = create_engine(
            "sqlite://", creator=self._connect, poolclass=QueuePool, pool_size=20
        )
        event.listen(self.engine, "begin", self._begin)
        event.listen(self.engine, "commit", self._commit)

    def _connect(self) -> sqlite3.Connection:
        if self.current is None or self.fates is None:
            raise RuntimeError("there is no simulated database")
        fates = self.fates
        made = sqlite3.connect(self.current.path, isolation_level=None, check_same_thread=False)
        made.executescript("pragma synchronous = off; pragma busy_timeout = 0;")
        made.create_function("sim_step", 0, lambda: fates.step)
        made.create_function("sim_actor", 0, lambda: fates.actor)
        return made

    def _begin(self, conn: Connection) -> None:
        if self.fates is not None:
            self.fates.begin()
        reading = conn.get_execution_options().get(READ_ONLY, False)
        conn.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    def _commit(self, conn: Connection) -> None:
        driver: Any = conn.connection.driver_connection
        if self.fates is not None:
            self.fates.commit(driver.commit)


@functools.cache
def _process() -> _Process:
    return _Process()


def _make_template(path: Path) -> bytes:
    store = Store(f"sqlite:///{path}", VirtualClock())
    store.prepare()
    store.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    audit_log.install(connection)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    return path.read_bytes()
