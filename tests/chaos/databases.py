"""The databases under test: the experiment starts each server itself, so that it can break it."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy import Engine, create_engine

from duly import prepare_engine
from tests.chaos.mariadb import MariaServer
from tests.support.postgresql import PostgresServer

BLOCK = 8 << 20  # bytes that are written at once


class Database(Protocol):
    """A database that can be broken.

    Attributes:
        name: ``sqlite``, ``postgresql`` or ``mariadb``.
        address: the host and port of the server; ``None`` for a file.
    """

    name: str
    address: tuple[str, int] | None

    def url(self, port: int | None = None) -> str:
        """Return the URL for SQLAlchemy, with the port of the server or of a route to it."""

    def restart(self) -> None:
        """Stop the server immediately and start it again."""

    def crash(self) -> None:
        """Kill one of the server's processes."""

    def repair(self) -> None:
        """Start the server if it is not running; a later call tries again."""

    def end_connection(self, rng: random.Random) -> bool:
        """Close a client's connection from the server's side; return whether there was one."""

    def block(self, seconds: float) -> None:
        """Hold the write lock for this many seconds (SQLite)."""

    def close(self) -> None:
        """Stop the server."""


class SqliteDatabase:
    """An SQLite file."""

    name = "sqlite"
    address = None

    def __init__(self, folder: Path) -> None:
        self.path = folder / "duly.db"

    def url(self, port: int | None = None) -> str:
        """See `Database.url`."""
        return f"sqlite:///{self.path}"

    def restart(self) -> None:
        """Do nothing: there is no server."""

    crash = repair = close = restart

    def end_connection(self, rng: random.Random) -> bool:
        """Return ``False``: there are no server connections."""
        return False

    def block(self, seconds: float) -> None:
        """See `Database.block`."""
        with suppress(sqlite3.OperationalError):
            other = sqlite3.connect(self.path, isolation_level=None, timeout=10)
            other.execute("begin immediate")
            threading.Event().wait(seconds)
            other.execute("rollback")
            other.close()


class PostgresDatabase:
    """A PostgreSQL server in the experiment's folder."""

    name = "postgresql"

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer.create(folder / "postgres")
        self.address: tuple[str, int] | None = ("127.0.0.1", self._server.port)
        with self._server.connect() as admin:
            admin.execute("create database chaos")
            for setting in ("max_wal_size = '96MB'", "min_wal_size = '32MB'"):
                admin.execute(f"alter system set {setting}".encode())
            admin.execute("select pg_reload_conf()")

    def url(self, port: int | None = None) -> str:
        """See `Database.url`."""
        url = self._server.url("chaos")
        return url.replace(f":{self._server.port}/", f":{port or self._server.port}/")

    def restart(self) -> None:
        """See `Database.restart`."""
        with suppress(OSError):  # it may have ended on its own
            self._server.stop()
        self._server.start()

    def crash(self) -> None:
        """See `Database.crash`: its other processes end too, and the server recovers by itself."""
        with suppress(OSError, psycopg.Error), self._server.connect() as admin:
            found = admin.execute(
                "select pid from pg_stat_activity where backend_type = 'walwriter'"
            ).fetchone()
            if found is not None:
                os.kill(found[0], 9)

    def repair(self) -> None:
        """See `Database.repair`."""
        try:
            os.kill(self._server.pid, 0)
        except (OSError, IndexError):
            with suppress(RuntimeError):
                self._server.start()

    def end_connection(self, rng: random.Random) -> bool:
        """See `Database.end_connection`."""
        with self._server.connect() as admin:
            pids = admin.execute(
                "select pid from pg_stat_activity where datname = 'chaos' order by pid"
            ).fetchall()
            if not pids:
                return False
            admin.execute("select pg_terminate_backend(%s)", rng.choice(pids))
        return True

    def block(self, seconds: float) -> None:
        """Do nothing: there is no lock of the whole database."""

    def close(self) -> None:
        """See `Database.close`."""
        with suppress(OSError, TimeoutError):
            self._server.stop()


class MariaDatabase:
    """A MariaDB server in the experiment's folder."""

    name = "mariadb"

    def __init__(self, folder: Path) -> None:
        self._server = MariaServer.create(folder / "mariadb")
        self.address: tuple[str, int] | None = ("127.0.0.1", self._server.port)
        with self._server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("create database chaos character set utf8mb4")

    def url(self, port: int | None = None) -> str:
        """See `Database.url`."""
        return self._server.url("chaos", port)

    def restart(self) -> None:
        """See `Database.restart`."""
        self._server.kill()
        self._server.start()

    crash = restart

    def repair(self) -> None:
        """See `Database.repair`."""
        if not self._server.running:
            with suppress(RuntimeError):
                self._server.start()

    def end_connection(self, rng: random.Random) -> bool:
        """See `Database.end_connection`."""
        with self._server.connect() as admin, admin.cursor() as cursor:
            cursor.execute(
                "select id from information_schema.processlist where db = 'chaos' order by id"
            )
            found = [row[0] for row in cursor.fetchall()]
            if not found:
                return False
            cursor.execute("kill %s", (rng.choice(found),))
        return True

    def block(self, seconds: float) -> None:
        """Do nothing: there is no lock of the whole database."""

    def close(self) -> None:
        """See `Database.close`."""
        self._server.kill()


class SmallDisk:
    """A small disk in memory that can be filled; mounting it needs root.

    Args:
        folder: the mount point, which is created.
        megabytes: the size of the disk.

    Attributes:
        trouble: why the disk could not be mounted; empty if it was.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self._folder = folder
        self.trouble = ""
        if os.geteuid() != 0:
            self.trouble = "only root can mount a small disk"
            return
        options = f"size={megabytes}m,mode=755"
        command = ["mount", "-t", "tmpfs", "-o", options, "duly-chaos", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.trouble = f"a small disk could not be mounted ({done.stderr.strip()})"

    def fill(self) -> None:
        """Use up the free space."""
        with suppress(OSError), (self._folder / "filler").open("ab", buffering=0) as file:
            for size in (BLOCK, 4096):
                with suppress(OSError):
                    while file.write(b"\0" * size):
                        pass

    def free(self) -> None:
        """Free the space again."""
        (self._folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if not self.trouble:
            subprocess.run(["umount", "-l", str(self._folder)], check=False)


def direct_engine(database: Database) -> Engine:
    """Return an engine that reaches the database directly, without any route."""
    limits: dict[str, Any] = {} if database.address is None else {"connect_timeout": 5}
    engine = create_engine(database.url(), pool_pre_ping=True, connect_args=limits)
    return prepare_engine(engine)


DATABASES: dict[str, type[Any]] = {
    "sqlite": SqliteDatabase,
    "postgresql": PostgresDatabase,
    "mariadb": MariaDatabase,
}
DISK_MB = {"sqlite": 64, "postgresql": 400, "mariadb": 500}
