"""Compile the DDL of Duly's tables for MariaDB and MySQL.

Only Duly's own engine has these compilers; the tables and migrations are the same on all databases.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.schema import CreateIndex

from duly.store.sql.columns import mariadb_collation

INDEXES = {
    "duly_job_due": ("state", "next_fire_at"),
    "duly_job_failing": ("consecutive_failures",),
    "duly_job_unresolved": ("state",),
    "duly_job_paused": ("state", "paused_at"),
    "duly_job_ended": ("state", "updated_at"),
    "duly_job_declared": ("origin", "app"),
    "duly_notice_pending": ("state", "channel", "due_at"),
    "duly_notice_dead": ("state",),
    "duly_run_ready": ("state", "queue", "concurrency_key", "priority", "due_at"),
    "duly_run_quarantined": ("quarantined", "state", "due_at"),
    "duly_run_scheduled": ("state", "waits_for_slot", "occupied", "due_at"),
    "duly_run_waiting": ("state", "waits_for_slot", "job_id", "job_uid", "priority"),
    "duly_run_expiring": ("state", "expires_at"),
    "duly_run_running": ("state", "worker_id"),
    "duly_run_live": ("occupied", "state", "job_id", "waits_for_slot"),
    "duly_run_limited": ("concurrency_key", "occupied", "state"),
    "duly_run_occupied": ("occupied", "worker_id"),
    "duly_run_notable": ("state",),
}
"""Indexes that are partial elsewhere, with the columns of their conditions, which come first here.

Each ends with the primary key, as InnoDB's indexes do. An index whose condition is only ``… is not
null`` needs no entry, because NULLs do not conflict in a unique index.
"""


class DDL(MySQLDDLCompiler):
    """InnoDB tables, texts compared byte by byte, and full indexes in place of partial ones."""

    def post_create_table(self, table: Table) -> str:
        """Set a collation in which case, accents and trailing spaces distinguish names."""
        collation = mariadb_collation(self.dialect.is_mariadb)
        return f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE={collation}"

    def visit_create_index(self, create: CreateIndex, **kw: Any) -> str:  # type: ignore[override]
        """See `INDEXES`."""
        index = create.element
        columns = INDEXES.get(str(index.name))
        if columns is None:
            return super().visit_create_index(create, **kw)
        quote = self.preparer.quote
        table = self.preparer.format_table(index.table)  # type: ignore[arg-type]
        return f"CREATE INDEX {index.name} ON {table} ({', '.join(map(quote, columns))})"


class Types(MySQLTypeCompiler):
    """Texts of more than 64 KiB, instants with microseconds, and floats of 64 bits."""

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: N802 - SQLAlchemy's names
        """Return a type for 16 MiB: TEXT is one byte too short for a result of 64 KiB."""
        return "MEDIUMTEXT"

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:  # noqa: N802
        """Return a type for UTC instants; a TIMESTAMP would end in 2038."""
        return "DATETIME(6)"

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:  # noqa: N802
        """Return the type of Python's float."""
        return "DOUBLE"
