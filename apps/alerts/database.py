"""The application's own async engine, on the database that it shares with Duly."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from apps.alerts.models import SCHEMA
from duly import prepare_engine

log = logging.getLogger(__name__)

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_ASYNC = {*_DRIVERS.values(), "postgresql+psycopg"}
_LOCK = 7_306_002
_RETRY_SECONDS = 2.0


class Database:
    """The engine and its sessions.

    Args:
        url: any SQLite or PostgreSQL URL; if its driver is not async, an async one is used.
        connections: the most connections that the application holds.
        pooler: whether the URL leads to a transaction pooler.

    Attributes:
        session: ``async with database.session() as session`` for reading.
        sessions: makes sessions for writing, for Duly's transactional runs.
        begin: ``async with database.begin() as session`` commits at its end, or rolls back.
    """

    def __init__(self, url: str, *, connections: int = 15, pooler: bool = False) -> None:
        address = async_url(url)
        options: dict[str, Any] = {"pool_size": connections, "max_overflow": 0}
        if address.get_backend_name() == "sqlite":
            # SQLite has no schemas.
            options["execution_options"] = {"schema_translate_map": {SCHEMA: None}}
        elif pooler and address.get_driver_name() == "asyncpg":
            options["connect_args"] = {
                "statement_cache_size": 0, "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": str,  # unnamed, so bound to no connection
            }  # fmt: skip
        elif pooler:
            options["connect_args"] = {"prepare_threshold": None}
        self.engine = create_async_engine(address, **options)
        prepare_engine(self.engine)
        reading = self.engine.execution_options(duly_read_only=True)
        self.session = async_sessionmaker(reading, expire_on_commit=False)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.begin = self.sessions.begin

    async def migrate(self) -> None:
        """Bring the tables up to date; several processes may do so concurrently."""
        async with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            await connection.run_sync(upgrade)

    async def migrate_when_reachable(self) -> None:
        """Call `migrate`, and retry until the database responds."""
        while True:
            try:
                return await self.migrate()
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


def upgrade(connection: Connection) -> None:
    """Apply the migrations that a database lacks."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
