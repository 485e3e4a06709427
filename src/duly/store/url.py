"""Parse database URLs, and choose the driver for each."""

from __future__ import annotations

import re
from enum import Enum
from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from duly.errors import ConfigurationError, DatabaseURLError
from duly.store import sqlite_file

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
"""Asyncio drivers, each with the package that contains it."""

_SECRET = re.compile(r"(?<=:).*(?=@)|(?<=password=)[^&]*", re.DOTALL)
"""Where a password may be in text that is not a URL."""

_ASYNC_ONLY = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func"})


class Later(Enum):
    """The placeholder for a URL that is given later; ``None`` might be a mistake."""

    LATER = "given later"


def parse_url(url: str | URL) -> URL:
    """Return the URL of the same database for a synchronous driver.

    The path of an SQLite file becomes absolute here, and its symbolic links are followed, so that
    one file has one name whatever the working directory is later.

    Args:
        url: an SQLAlchemy database URL; the driver may be one for asyncio.

    Raises:
        DatabaseURLError: it is not a URL, its database is not supported, it is SQLite without a
            file, or MariaDB or MySQL without the name of a database.
    """
    try:
        given = make_url(url)
    except (ArgumentError, ValueError):
        shown = _SECRET.sub("***", str(url))
        raise DatabaseURLError(
            f"{shown!r} is not a valid database URL; give for example 'sqlite:///app.db' or "
            "'postgresql+psycopg://user:password@host/name'"
        ) from None
    try:
        driver = _DRIVERS[given.drivername]
    except KeyError:
        raise DatabaseURLError(
            f"{given.drivername!r} databases are not supported; Duly runs on sqlite:///file, "
            "postgresql+psycopg://… and mysql+pymysql://… (MariaDB, MySQL)"
        ) from None
    if driver == "sqlite":
        if sqlite_file.is_in_memory(given):
            raise DatabaseURLError(
                f"{given.render_as_string()!r}: jobs in memory would be lost at exit, and the "
                "threads of a scheduler cannot share them; give a file: sqlite:///app.db"
            )
        given = sqlite_file.with_resolved_file(given)
    if driver == "mysql+pymysql" and not given.database:
        raise DatabaseURLError(
            f"{given.render_as_string()!r} does not name a database; give mysql+pymysql://user@host/name"
        )
    tls = given.query.get("ssl")
    if driver == "postgresql+psycopg" and tls is not None:  # asyncpg's name of libpq's sslmode
        given = given.difference_update_query(["ssl"]).update_query_dict({"sslmode": tls})
    return given.set(drivername=driver).difference_update_query(_ASYNC_ONLY)


def parse_async_url(url: str | URL) -> URL:
    """Return the URL of the same database for asyncio, with the host's driver if it names one.

    Args:
        url: a URL that `parse_url` accepts.

    Raises:
        ConfigurationError: no asyncio driver is installed for this database.
    """
    given, plain = make_url(url), parse_url(url)
    backend = plain.get_backend_name()
    if given.drivername in _ASYNC_DRIVERS:
        return plain.set(drivername=given.drivername) if backend == "sqlite" else given
    drivers = [known for known in _ASYNC_DRIVERS if known.startswith(f"{backend}+")]
    for known in drivers:
        if find_spec(_ASYNC_DRIVERS[known]) is not None:
            return plain.set(drivername=known)
    raise ConfigurationError(
        f"an AsyncSession on {backend} needs an asyncio driver: install "
        f"{' or '.join(_ASYNC_DRIVERS[known] for known in drivers)}"
    )


def missing_driver(url: URL, error: ModuleNotFoundError) -> DatabaseURLError:
    """Return the error for a database whose driver is not installed."""
    extra = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
    return DatabaseURLError(
        f"Duly needs a driver for {url.render_as_string()} that is not installed ({error.name}), "
        f"beside the asyncio driver that an application may have: pip install 'duly[{extra}]'"
    )


def is_in_missing_folder(url: URL) -> bool:
    """Return whether a URL is that of an SQLite file whose folder does not exist."""
    is_sqlite = url.get_backend_name() == "sqlite"
    return is_sqlite and not sqlite_file.file_of(url).absolute().parent.is_dir()
