"""An application's own async engine, on the database that it shares with Duly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from duly import prepare_engine

log = logging.getLogger(__name__)

_ASYNC = ("sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg")
_RETRY_SECONDS = 2.0
_FIRST_TRY_SECONDS = 5.0


class Database:
    """The engine and its sessions.

    Args:
        url: the URL with an async driver; see `async_url`.
        create: creates what is missing of the application's tables.
        lock: the number of the PostgreSQL lock that is held meanwhile, one for each application.
        options: further arguments of the engine.

    Attributes:
        session: ``async with database.session() as session`` for reading.
        sessions: makes sessions for writing, for Duly's transactional runs.
        begin: ``async with database.begin() as session`` commits at its end, or rolls back.
    """

    def __init__(
        self, url: URL, create: Callable[[Connection], object], *, lock: int, **options: Any
    ) -> None:
        self._create = create
        self._lock = lock
        self.engine = create_async_engine(url, **options)
        prepare_engine(self.engine)
        reading = self.engine.execution_options(duly_read_only=True)
        self.session = async_sessionmaker(reading, expire_on_commit=False)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.begin = self.sessions.begin

    async def create_tables(self) -> None:
        """Create missing tables; several processes may do so concurrently."""
        async with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({self._lock})"))
            await connection.run_sync(self._create)

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

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Create missing tables, in the background if the database does not respond; then close."""
        creating = asyncio.create_task(self.create_tables_when_reachable())
        try:
            await asyncio.wait({creating}, timeout=_FIRST_TRY_SECONDS)
            yield
        finally:
            await ended(creating)
            await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def async_url(text: str, driver: str) -> URL:
    """Return a URL with an async driver, and create the folder of a SQLite file.

    Args:
        text: any SQLite or PostgreSQL URL; an async driver that it names is kept.
        driver: the driver for PostgreSQL otherwise: ``psycopg`` or ``asyncpg``.
    """
    url = make_url(text)
    if url.get_backend_name() == "sqlite":
        driver = "aiosqlite"
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    if url.drivername in _ASYNC:
        return url
    return url.set(drivername=f"{url.get_backend_name()}+{driver}")


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task, and return when it has ended."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
