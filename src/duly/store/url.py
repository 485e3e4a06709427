"""Database URLs: which ones Duly takes, and which driver it uses for them."""

from __future__ import annotations

import re
from enum import Enum
from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from duly.errors import ConfigurationError, DatabaseURLError

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
    **{
        f"{server}{driver}": "mysql+pymysql"
        for server in ("mysql", "mariadb")
        for driver in ("", "+pymysql", "+mysqldb", "+asyncmy", "+aiomysql")
    },
}
_ASYNC_DRIVERS = {
    "sqlite+aiosqlite": "aiosqlite",
    "postgresql+psycopg_async": "psycopg",
    "postgresql+asyncpg": "asyncpg",
    "mysql+asyncmy": "asyncmy",
    "mysql+aiomysql": "aiomysql",
    "mariadb+asyncmy": "asyncmy",
    "mariadb+aiomysql": "aiomysql",
}
"""And the package that each of them is."""

_SECRET = re.compile(r"(?<=:).*(?=@)|(?<=password=)[^&]*", re.DOTALL)
"""Where a password may be in what is not even a URL."""

_ASYNC_ONLY = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func"})


class Later(Enum):
    """Stands in place of a URL that is given later; ``None`` could be a slip instead."""

    LATER = "given later"


def parse_url(url: str | URL) -> URL:
    """The URL that Duly connects with: the same database through a synchronous driver.

    Args:
        url: an SQLAlchemy database URL; those of asyncio drivers are taken too.

    Raises:
        DatabaseURLError: no URL, an unknown database, SQLite without a file, or a server of
            MariaDB or MySQL without the name of a database.
    """
    try:
        held = make_url(url)
    except (ArgumentError, ValueError):
        shown = _SECRET.sub("***", str(url))
        raise DatabaseURLError(
            f"{shown!r} is no database URL; give for example 'sqlite:///app.db' or "
            "'postgresql+psycopg://user:password@host/name'"
        ) from None
    try:
        driver = _DRIVERS[held.drivername]
    except KeyError:
        raise DatabaseURLError(
            f"no support for {held.drivername!r} databases; Duly runs on sqlite:///file, "
            "postgresql+psycopg://… and mysql+pymysql://… (MariaDB, MySQL)"
        ) from None
    if driver == "sqlite" and _is_in_memory(held):
        raise DatabaseURLError(
            f"{held.render_as_string()!r}: jobs in memory would be lost at exit, and the threads "
            "of a scheduler cannot share them; give a file: sqlite:///app.db"
        )
    if driver == "mysql+pymysql" and not held.database:
        raise DatabaseURLError(
            f"{held.render_as_string()!r} names no database; give mysql+pymysql://user@host/name"
        )
    tls = held.query.get("ssl")
    if driver == "postgresql+psycopg" and tls is not None:  # asyncpg's word for libpq's sslmode
        held = held.difference_update_query(["ssl"]).update_query_dict({"sslmode": tls})
    return held.set(drivername=driver).difference_update_query(_ASYNC_ONLY)


def parse_async_url(url: str | URL) -> URL:
    """The URL of the same database for asyncio, with the host's own driver where it names one.

    Args:
        url: one that `parse_url` takes.

    Raises:
        ConfigurationError: no asyncio driver is installed for this database.
    """
    held, plain = make_url(url), parse_url(url)
    if held.drivername in _ASYNC_DRIVERS:
        return held
    backend = plain.get_backend_name()
    drivers = [known for known in _ASYNC_DRIVERS if known.startswith(f"{backend}+")]
    for known in drivers:
        if find_spec(_ASYNC_DRIVERS[known]) is not None:
            return plain.set(drivername=known)
    raise ConfigurationError(
        f"an AsyncSession on {backend} needs an asyncio driver: install "
        f"{' or '.join(_ASYNC_DRIVERS[known] for known in drivers)}"
    )


def _is_in_memory(url: URL) -> bool:
    name = url.database or ""
    return not name or ":memory:" in name or url.query.get("mode") == "memory"
