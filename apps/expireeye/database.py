"""The application's own tables, in the database that it shares with Duly."""

from __future__ import annotations

from apps.database import Database, async_url
from apps.expireeye.models import Base

_LOCK = 7_306_001


def database_at(url: str) -> Database:
    """Return the database at any SQLite or PostgreSQL URL."""
    return Database(async_url(url, "psycopg"), Base.metadata.create_all, lock=_LOCK)
