"""Prepare the host application's own SQLAlchemy engine to share a database with Duly's."""

from __future__ import annotations

from typing import Any, TypeVar

from duly.model.checks import SECONDS, optional
from duly.store.dialects import sqlite
from duly.store.dialects.sqlite_writers import WARN_AFTER_S

E = TypeVar("E")


def prepare_engine(engine: E, *, warn_after: float | None = WARN_AFTER_S) -> E:
    """Configure the host's engine to share an SQLite file with the scheduler.

    Its connections get WAL, a busy timeout of 10 s and foreign keys, and its transactions begin
    as writers (``BEGIN IMMEDIATE``), because a transaction that reads first and writes later can
    fail at once, whatever the timeout. Everything else stays as it was: a connection in AUTOCOMMIT
    begins no transaction, and on other databases nothing is changed.

    It replaces the listeners that SQLAlchemy's documentation recommends for SQLite, which begin
    each transaction themselves.

    A session that only reads does not need the writers' lock: bind it to
    ``engine.execution_options(duly_read_only=True)``.

    While a transaction is open, all other writers wait. When one was open for long, a warning of
    the logger ``duly.store`` reports how long, and the line of code where it began.

    Args:
        engine: an SQLAlchemy `Engine` or `AsyncEngine`, before its first connection.
        warn_after: seconds after which an open transaction is reported when it ends; default: 5;
            ``None``: never.

    Returns:
        The same engine.

    Raises:
        ConfigurationError: ``warn_after`` is negative.
    """
    limit = optional(SECONDS)("warn_after", warn_after)
    sync_engine: Any = getattr(engine, "sync_engine", engine)
    if sync_engine.dialect.name == "sqlite":
        sqlite.prepare(sync_engine, limit)
    return engine
