"""The databases that chaos happens on: each started by the run itself, so that it may be broken."""

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

FULL_FOR_SURE = 8 << 20  # bytes written at once into the filler


class Ground(Protocol):
    """One database.

    Attributes:
        name: ``sqlite``, ``postgresql`` or ``mariadb``.
        address: host and port of a server; ``None``: there is no network.
    """

    name: str
    address: tuple[str, int] | None

    def url(self, port: int | None = None) -> str:
        """What SQLAlchemy connects to; ``port``: of a lane that leads there."""

    def restart(self) -> None:
        """Break the server off at once, and start it again."""

    def crash(self) -> None:
        """Kill one of the server's own processes."""

    def repair(self) -> None:
        """Start the server again if it did not survive something; the next call tries again."""

    def end_connection(self, dice: random.Random) -> bool:
        """End a client's connection from the server's side; says whether there was one."""

    def block(self, seconds: float) -> None:
        """Hold the one writer's lock for so long (SQLite)."""

    def close(self) -> None:
        """Stop the server."""


class SqliteGround:
    """A file."""

    name = "sqlite"
    address = None

    def __init__(self, folder: Path) -> None:
        self.path = folder / "duly.db"

    def url(self, port: int | None = None) -> str:
        """See `Ground.url`."""
        return f"sqlite:///{self.path}"

    def restart(self) -> None:
        """Nothing to restart."""

    crash = repair = close = restart

    def end_connection(self, dice: random.Random) -> bool:
        """There is none."""
        return False

    def block(self, seconds: float) -> None:
        """See `Ground.block`."""
        with suppress(sqlite3.OperationalError):
            other = sqlite3.connect(self.path, isolation_level=None, timeout=10)
            other.execute("begin immediate")
            threading.Event().wait(seconds)
            other.execute("rollback")
            other.close()


class PostgresGround:
    """A server of its own, in the run's folder."""

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
        """See `Ground.url`."""
        url = self._server.url("chaos")
        return url.replace(f":{self._server.port}/", f":{port or self._server.port}/")

    def restart(self) -> None:
        """See `Ground.restart`."""
        with suppress(OSError):  # it may have ended by itself
            self._server.stop()
        self._server.start()

    def crash(self) -> None:
        """See `Ground.crash`: the others end with it, and the server recovers by itself."""
        with suppress(OSError, psycopg.Error), self._server.connect() as admin:
            found = admin.execute(
                "select pid from pg_stat_activity where backend_type = 'walwriter'"
            ).fetchone()
            if found is not None:
                os.kill(found[0], 9)

    def repair(self) -> None:
        """See `Ground.repair`."""
        try:
            os.kill(self._server.pid, 0)
        except (OSError, IndexError):
            with suppress(RuntimeError):
                self._server.start()

    def end_connection(self, dice: random.Random) -> bool:
        """See `Ground.end_connection`."""
        with self._server.connect() as admin:
            pids = admin.execute(
                "select pid from pg_stat_activity where datname = 'chaos' order by pid"
            ).fetchall()
            if not pids:
                return False
            admin.execute("select pg_terminate_backend(%s)", dice.choice(pids))
        return True

    def block(self, seconds: float) -> None:
        """Writers do not wait for each other as a whole."""

    def close(self) -> None:
        """See `Ground.close`."""
        with suppress(OSError, TimeoutError):
            self._server.stop()


class MariaGround:
    """A server of its own, in the run's folder."""

    name = "mariadb"

    def __init__(self, folder: Path) -> None:
        self._server = MariaServer.create(folder / "mariadb")
        self.address: tuple[str, int] | None = ("127.0.0.1", self._server.port)
        with self._server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("create database chaos character set utf8mb4")

    def url(self, port: int | None = None) -> str:
        """See `Ground.url`."""
        return self._server.url("chaos", port)

    def restart(self) -> None:
        """See `Ground.restart`."""
        self._server.kill()
        self._server.start()

    crash = restart

    def repair(self) -> None:
        """See `Ground.repair`."""
        if not self._server.running:
            with suppress(RuntimeError):
                self._server.start()

    def end_connection(self, dice: random.Random) -> bool:
        """See `Ground.end_connection`."""
        with self._server.connect() as admin, admin.cursor() as cursor:
            cursor.execute(
                "select id from information_schema.processlist where db = 'chaos' order by id"
            )
            found = [row[0] for row in cursor.fetchall()]
            if not found:
                return False
            cursor.execute("kill %s", (dice.choice(found),))
        return True

    def block(self, seconds: float) -> None:
        """Writers do not wait for each other as a whole."""

    def close(self) -> None:
        """See `Ground.close`."""
        self._server.kill()


class SmallDisk:
    """A disk that can be full: a small one in memory, mounted at a folder; needs root.

    Args:
        folder: where; it is made.
        megabytes: how large.
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
        """Use up what is left."""
        with suppress(OSError), (self._folder / "filler").open("ab", buffering=0) as file:
            for size in (FULL_FOR_SURE, 4096):
                with suppress(OSError):
                    while file.write(b"\0" * size):
                        pass

    def free(self) -> None:
        """Give it back."""
        (self._folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if not self.trouble:
            subprocess.run(["umount", "-l", str(self._folder)], check=False)


def look(ground: Ground) -> Engine:
    """The driver's own engine, past every lane."""
    limits: dict[str, Any] = {} if ground.address is None else {"connect_timeout": 5}
    engine = create_engine(ground.url(), pool_pre_ping=True, connect_args=limits)
    return prepare_engine(engine)


GROUNDS: dict[str, type[Any]] = {
    "sqlite": SqliteGround,
    "postgresql": PostgresGround,
    "mariadb": MariaGround,
}
DISK_MB = {"sqlite": 64, "postgresql": 400, "mariadb": 500}
