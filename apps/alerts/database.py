"""The application's own tables, in the database that it shares with Duly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from apps.alerts.models import SCHEMA
from apps.database import Database, async_url

_LOCK = 7_306_002


def database_at(url: str, *, connections: int = 15, pooler: bool = False) -> Database:
    """Return the database at any SQLite or PostgreSQL URL.

    Args:
        url: the URL.
        connections: the most connections that the application holds.
        pooler: whether the URL leads to a transaction pooler.
    """
    address = async_url(url, "asyncpg")
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
    return Database(address, upgrade, lock=_LOCK, **options)


def upgrade(connection: Connection) -> None:
    """Apply the migrations that a database lacks."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
