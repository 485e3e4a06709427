"""The machine and the software on which figures were measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from bench.support.contender import CannotRun
from bench.support.databases import SERVERS, server_version
from bench.support.environments import HOME, ROOT, versions

DURABILITY = "SQLite WAL with synchronous=FULL, PostgreSQL and MariaDB as their servers are set"


def describe() -> list[str]:
    """Return lines that tell whether the figures can be compared with others."""
    peers, later = versions("peers"), versions("apscheduler4")
    peers["apscheduler"] += f" and {later['apscheduler']}"
    own = {name: version(name) for name in ("sqlalchemy", "psycopg", "pymysql")}
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Duly at {_commit()}",
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, fsync {fsync_ms():.2f} ms",
        f"SQLite {sqlite3.sqlite_version}, " + ", ".join(_server(kind) for kind in SERVERS),
        f"Duly on {_list(own)}",
        f"peers: {_list(peers)}",
        f"durability: {DURABILITY}",
    ]


def fsync_ms(times: int = 100) -> float:
    """Return the median time in which the disk makes a page durable, in milliseconds."""
    HOME.mkdir(parents=True, exist_ok=True)
    taken = []
    with tempfile.TemporaryFile(dir=HOME) as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def _server(kind: str) -> str:
    try:
        version = server_version(kind)
    except CannotRun:
        return f"no {kind}"
    return version if kind in version else f"{kind} {version}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"version {version('duly')}"


def _list(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
