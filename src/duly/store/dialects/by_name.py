"""The dialect of a database; of the others nothing is loaded, nor of SQLAlchemy's."""

from __future__ import annotations

from sqlalchemy import Connection

from duly.store.dialect import StoreDialect


def dialect_of(backend: str, *, pooler: bool, idle_limit: float) -> StoreDialect:
    """What differs on this database.

    Args:
        backend: as a URL that `parse_url` has made names it.
        pooler: see `Store`.
        idle_limit: see `Store`.
    """
    if backend == "sqlite":
        from duly.store.dialects.sqlite import SQLite  # noqa: PLC0415

        return SQLite()
    if backend == "postgresql":
        from duly.store.dialects.postgresql import PostgreSQL  # noqa: PLC0415

        return PostgreSQL(pooler, idle_limit)
    from duly.store.dialects.mariadb import MariaDB  # noqa: PLC0415

    return MariaDB(idle_limit)


def backend_of(conn: Connection) -> str:
    """Which database a caller's connection speaks to, as `StoreDialect.name` says it."""
    return "mysql" if conn.dialect.name == "mariadb" else conn.dialect.name
