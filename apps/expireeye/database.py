"""The application's own async engine, on the database that it shares with Duly."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from apps.expireeye.models import Base
from duly import prepare_engine

log = logging.getLogger(__name__)

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
_ASYNC = {"sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"}
_CREATE_LOCK = 7_306_001
_RETRY_SECONDS = 2.0


class Database:
    """The engine and its sessions.

    Args:
        url: any SQLite or PostgreSQL URL; if its driver is not async, an async one is used.

    Attributes:
        session: ``async with database.session() as session`` for reading.
        begin: ``async with database.begin() as session`` commits at its end, or rolls back.
    """

    def __init__(self, url: str) -> None:
        self.engine = create_async_engine(async_url(url))
        prepare_engine(self.engine)
        reading = self.engine.execution_options(duly_read_only=True)
        self.session = async_sessionmaker(reading, expire_on_commit=False)
        self.begin = async_sessionmaker(self.engine, expire_on_commit=False).begin

    async def create_tables(self) -> None:
        """Create missing tables; several processes may do so concurrently."""
        async with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))
            await connection.run_sync(Base.metadata.create_all)

    async def create_tables_when_reachable(self) -> None:
        """Call `create_tables`, and retry until the database responds."""
        while True:
            try:
                return await self.create_tables()
            except (SQLAlchemyError, OSError) as error:
                log.error(
                    "The database does not respond; retrying in %g s: %s", _RETRY_SECONDS, error
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def async_url(text: str) -> URL:
    """Return the URL with an async driver, and create the folder of a SQLite file."""
    url = make_url(text)
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    return url if url.drivername in _ASYNC else url.set(drivername=_DRIVERS[backend])
