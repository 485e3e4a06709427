"""Preparing the host application's own SQLAlchemy engine to live beside Duly's."""

from __future__ import annotations

from typing import Any, TypeVar

from duly.store.dialects import sqlite

E = TypeVar("E")


def prepare_engine(engine: E) -> E:
    """Make the host's engine a good neighbour of the scheduler on one SQLite file.

    Its connections get WAL, a busy timeout of 10 s and foreign keys, and its transactions begin
    as writers (``BEGIN IMMEDIATE``), because one that reads first and writes later can fail at
    once however long the timeout is. On other databases nothing is changed.

    Reading sessions can do without the writers' lock: give them
    ``engine.execution_options(duly_read_only=True)``.

    Args:
        engine: an SQLAlchemy `Engine` or `AsyncEngine`, before its first connection.

    Returns:
        The same engine.
    """
    held: Any = getattr(engine, "sync_engine", engine)
    if held.dialect.name == "sqlite":
        sqlite.prepare(held)
    return engine
