"""Create and migrate the tables, and refuse those of a newer Duly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, literal, select
from sqlalchemy.schema import DropTable

from duly.errors import SchemaError, SchemaTooNew
from duly.model.identity import new_id
from duly.store import tables
from duly.store.dialect import StoreDialect

log = logging.getLogger("duly.store")
HEAD = "0001"
ALEMBIC_LOGGERS = ("alembic.runtime.migration", "alembic.runtime.plugins")
VERSION_TABLE = "duly_version"
version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
_migration_lock = threading.Lock()
"""Alembic keeps the current migration in a global, so a process runs one at a time."""


def stored_version(conn: Connection) -> str | None:
    """Return the revision of the tables in this database; ``None``: there are none yet."""
    if not inspect(conn).has_table(VERSION_TABLE):
        return None
    stored: str | None = conn.execute(select(version.c.version_num)).scalar()
    return stored


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
        dialect.create_schema(conn)
        with _migration_lock, _quiet_alembic():
            _run_migrations(conn, found)
        log.info("%s Duly's tables (version %s).", "Migrated" if found else "Created", HEAD)
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


@contextmanager
def _quiet_alembic() -> Iterator[None]:
    """Keep what Alembic says about Duly's own tables out of the host's log, on this thread only."""
    thread = threading.get_ident()

    def is_of_others(_record: logging.LogRecord) -> bool:
        return threading.get_ident() != thread

    loggers = [logging.getLogger(name) for name in ALEMBIC_LOGGERS]
    for logger in loggers:
        logger.addFilter(is_of_others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_of_others)


def _run_migrations(conn: Connection, found: str | None) -> None:
    # Imported here, because that takes 90 ms and most starts do not need it. The migrations are
    # named rather than searched for, because a frozen application has no folder of modules.
    from alembic.operations import Operations  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    from duly.store.migrations import MIGRATIONS  # noqa: PLC0415

    known = [None, *(step.revision for step in MIGRATIONS)]
    if found not in known:
        raise SchemaTooNew(
            f"Duly's tables are at version {found!r}, which this Duly (up to {HEAD!r}) does not "
            "know: a newer one wrote them. Nothing was changed; upgrade the package duly"
        )
    version.create(conn, checkfirst=True)
    context = MigrationContext.configure(conn, opts={"target_metadata": tables.complete()})
    with Operations.context(context):
        for step in MIGRATIONS[known.index(found) :]:
            step.upgrade()
    conn.execute(version.delete())
    conn.execute(version.insert(), {"version_num": HEAD})
