"""A new database for each measurement, as durable as users get it, and dropped afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from bench.support.contender import CannotRun
from bench.support.environments import HOME

SERVERS = {
    "PostgreSQL": ("DULY_BENCH_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "MariaDB": ("DULY_BENCH_MARIADB", "mysql+pymysql://root@127.0.0.1:3306/"),
}
SQL = ("SQLite", "PostgreSQL")


def fresh(kind: str) -> AbstractContextManager[str]:
    """Yield the URL of an empty database, which is dropped after the block.

    Args:
        kind: ``SQLite``, ``PostgreSQL``, ``MariaDB``, ``Redis``, or ``memory``: no database.

    Raises:
        CannotRun: there is no such server.
    """
    makers: dict[str, Callable[[], AbstractContextManager[str]]]
    makers = {"SQLite": _sqlite, "Redis": _redis, "memory": lambda: nullcontext("")}
    return makers[kind]() if kind in makers else _on_server(kind)


def server_version(kind: str) -> str:
    """Return the name and version that the server reports.

    Raises:
        CannotRun: there is no such server.
    """
    try:
        with _admin(kind)[1].connect() as conn:
            return str(conn.execute(text("select version()")).scalar_one()).partition(" (")[0]
    except SQLAlchemyError as error:
        raise _absent(kind) from error


@contextmanager
def _sqlite() -> Iterator[str]:
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="data-", dir=HOME) as folder:  # beside the checkout:
        yield f"sqlite:///{Path(folder) / 'bench.db'}"  # /tmp may be memory


@contextmanager
def _on_server(kind: str) -> Iterator[str]:
    url, admin = _admin(kind)
    name = f"duly_bench_{uuid.uuid4().hex[:12]}"
    force = " with (force)" if kind == "PostgreSQL" else ""
    try:
        with admin.connect() as conn:
            conn.execute(text(f"create database {name}"))
    except SQLAlchemyError as error:
        raise _absent(kind) from error
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as conn:
            conn.execute(text(f"drop database {name}{force}"))
        admin.dispose()


def _admin(kind: str) -> tuple[URL, Engine]:
    variable, default = SERVERS[kind]
    url = make_url(os.environ.get(variable, default))
    return url, create_engine(url, isolation_level="AUTOCOMMIT")


def _absent(kind: str) -> CannotRun:
    variable, default = SERVERS[kind]
    shown = make_url(os.environ.get(variable, default)).render_as_string()
    return CannotRun(f"no {kind} at {shown}; name one in {variable}")


@contextmanager
def _redis() -> Iterator[str]:
    """Run a server with its default settings."""
    program = shutil.which("redis-server")
    if program is None:
        raise CannotRun("no redis-server on the path")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="redis-", dir=HOME) as folder:
        command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


def _wait_for_port(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise CannotRun("redis-server did not answer within 20 s")
