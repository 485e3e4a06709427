"""Load the dialect of one database, without those of the others or SQLAlchemy's for them."""

from __future__ import annotations

from sqlalchemy import Connection

from duly.errors import ConfigurationError
from duly.store.dialect import StoreDialect


def dialect_of(
    backend: str, *, pooler: bool, idle_limit: float, schema: str | None
) -> StoreDialect:
    """Return the dialect of a database.

    Args:
        backend: the backend's name in a URL that `parse_url` has returned.
        pooler: see `Store`.
        idle_limit: see `Store`.
        schema: see `Store`.

    Raises:
        ConfigurationError: the database has no schemas.
    """
    if schema is not None and backend != "postgresql":
        raise ConfigurationError(
            f"schema={schema!r} is for PostgreSQL; for tables of its own, give Duly another "
            "database in the URL"
        )
    if backend == "sqlite":
        from duly.store.dialects.sqlite import SQLite  # noqa: PLC0415

        return SQLite()
    if backend == "postgresql":
        from duly.store.dialects.postgresql import PostgreSQL  # noqa: PLC0415

        return PostgreSQL(pooler, idle_limit, schema)
    from duly.store.dialects.mariadb import MariaDB  # noqa: PLC0415

    return MariaDB(idle_limit)


def backend_of(conn: Connection) -> str:
    """Return the `StoreDialect.name` of the database of a caller's connection."""
    return "mysql" if conn.dialect.name == "mariadb" else conn.dialect.name
