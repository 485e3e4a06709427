"""Prepare the host application's own SQLAlchemy engine to share a database with Duly's."""

from __future__ import annotations

from typing import Any, TypeVar

from duly.store.dialects import sqlite

E = TypeVar("E")


def prepare_engine(engine: E) -> E:
    """Configure the host's engine to share an SQLite file with the scheduler.

    Its connections get WAL, a busy timeout of 10 s and foreign keys, and its transactions begin
    as writers (``BEGIN IMMEDIATE``), because a transaction that reads first and writes later can
    fail at once, whatever the timeout. On other databases nothing is changed.

    A session that only reads does not need the writers' lock: bind it to
    ``engine.execution_options(duly_read_only=True)``.

    Args:
        engine: an SQLAlchemy `Engine` or `AsyncEngine`, before its first connection.

    Returns:
        The same engine.
    """
    sync_engine: Any = getattr(engine, "sync_engine", engine)
    if sync_engine.dialect.name == "sqlite":
        sqlite.prepare(sync_engine)
    return engine
