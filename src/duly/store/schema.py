"""Create and migrate the tables, and refuse those of a newer Duly."""

from __future__ import annotations

import threading

from sqlalchemy import Connection, inspect, literal, select, text
from sqlalchemy.schema import DropTable

from duly.errors import SchemaError, SchemaTooNew
from duly.model.identity import new_id
from duly.store import tables
from duly.store.dialect import StoreDialect

HEAD = "0001"
VERSION_TABLE = "duly_version"
_migration_lock = threading.Lock()
"""Alembic keeps the current migration in a global, so a process runs one at a time."""


def stored_version(conn: Connection) -> str | None:
    """Return the revision of the tables in this database; ``None``: there are none yet."""
    if not inspect(conn).has_table(VERSION_TABLE):
        return None
    version: str | None = conn.execute(text("select version_num from duly_version")).scalar()
    return version


def upgrade(conn: Connection, dialect: StoreDialect) -> None:
    """Create or migrate the tables; other processes wait until one has done it.

    Raises:
        SchemaTooNew: a newer Duly wrote the tables.
        SchemaError: there are tables with rows, but their version is unknown.
    """
    if stored_version(conn) == HEAD:
        return
    with dialect.migration_lock(conn):
        found = stored_version(conn)
        if found == HEAD:
            return
        if found is None and not dialect.transactional_ddl:
            _drop_unfinished(conn)
        with _migration_lock:
            _run_migrations(conn, found)
        if found is None:
            row = {"name": "database_id", "value": new_id()}
            conn.execute(tables.control.insert(), row)


def _drop_unfinished(conn: Connection) -> None:
    """Drop the tables of a first migration that was killed, where each table commits alone.

    The version is committed after all tables, together with the first row, so they are empty.
    """
    existing = set(inspect(conn).get_table_names()) & set(tables.metadata.tables)
    unfinished = [tables.metadata.tables[name] for name in sorted(existing)]
    for table in unfinished:
        if conn.execute(select(literal(1)).select_from(table).limit(1)).first() is not None:
            raise SchemaError(
                f"the table {table.name} holds rows, but {VERSION_TABLE} does not say which Duly "
                "wrote them; if they are part of a backup, restore all of it; otherwise drop them"
            )
    for table in unfinished:
        conn.execute(DropTable(table))


def _run_migrations(conn: Connection, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - takes 90 ms, and most starts do not need it
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "duly.store:migrations")
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaTooNew(
            f"Duly's tables are at version {found!r}, which this Duly (up to {HEAD!r}) does not "
            "know: a newer one wrote them. Nothing was changed; upgrade the package duly"
        )
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
