"""Examine an SQLite file and the SQLite library."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection

from duly.model.finding import Finding
from duly.store.dialects.sqlite_file_system import file_system, mounts

RESET_FIXED = (3, 51, 3)
"""Before this version, a writer may reset the write-ahead log while another process uses it."""

SYNCHRONOUS = {0: "off", 1: "normal", 2: "full", 3: "extra"}
LEAST_TIMEOUT_MS = 5_000


def examine(conn: Connection, processes: int) -> list[Finding]:
    """See `StoreDialect.examine`."""
    version = sqlite3.sqlite_version
    journal = str(conn.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    synchronous = int(conn.exec_driver_sql("PRAGMA synchronous").scalar_one())
    patience = int(conn.exec_driver_sql("PRAGMA busy_timeout").scalar_one())
    return [
        Finding("database", "ok", f"SQLite {version}, {_place(conn)}"),
        reset_bug(sqlite3.sqlite_version_info, processes),
        settings(journal, synchronous, patience),
    ]


def _place(conn: Connection) -> str:
    main, *_temporary = conn.exec_driver_sql("PRAGMA database_list").all()
    file = Path(str(main[2]))
    kind = file_system(file, mounts())
    return f"{file} on {kind}" if kind else str(file)


def reset_bug(version: tuple[int, ...], processes: int) -> Finding:
    """Report whether the library's version is safe for this number of processes."""
    shown = ".".join(map(str, version))
    fixed = ".".join(map(str, RESET_FIXED))
    if version >= RESET_FIXED or processes <= 1:
        return Finding("write-ahead log", "ok", f"active processes: {processes}")
    return Finding(
        "write-ahead log",
        "warning",
        f"{processes} processes write, and in SQLite {shown} one of them may, very rarely, reset "
        "the log under another, which damages the file",
        f"run them all with SQLite {fixed} or later, or use one process, or PostgreSQL",
    )


def settings(journal: str, synchronous: int, patience: int) -> Finding:
    """Report whether a connection has the settings that Duly's promises need."""
    level = SYNCHRONOUS.get(synchronous, str(synchronous))
    text = f"journal_mode {journal}, synchronous {level}, busy_timeout {patience} ms"
    if journal.lower() == "wal" and synchronous >= 2 and patience >= LEAST_TIMEOUT_MS:
        return Finding("settings", "ok", text)
    return Finding(
        "settings",
        "problem",
        text,
        "Duly sets wal, full and 10000 ms on each connection: find what else changes them, and "
        "check that the file and its folder are writable",
    )
