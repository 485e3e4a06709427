"""Examine a MariaDB or MySQL server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, text

from duly.model.finding import Finding
from duly.store.dialects.server_examination import isolation
from duly.store.sql.columns import mariadb_collation
from duly.store.tables import metadata

OLDEST = {True: (10, 6), False: (8, 0, 17)}
"""MariaDB, and MySQL: they have SKIP LOCKED and compare texts byte by byte."""

_TABLES: BindParameter[list[str]] = bindparam("names", list(metadata.tables), expanding=True)
_SETTINGS = text(
    "select @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog, @@max_connections"
)
_PEAK = text("show global status like 'Max_used_connections'")
_COLUMNS = text(
    "select concat(table_name, '.', column_name) as place, collation_name as collation"
    " from information_schema.columns where table_schema = database() and table_name in :names"
    " and collation_name is not null and collation_name <> :wanted order by place"
).bindparams(_TABLES)
_ENGINES = text(
    "select table_name from information_schema.tables where table_schema = database()"
    " and table_name in :names and engine <> 'InnoDB' order by table_name"
).bindparams(_TABLES)


def examine(conn: Connection, processes: int) -> list[Finding]:
    """See `StoreDialect.examine`."""
    dialect: Any = conn.dialect
    flush, log_bin, sync_binlog, most = conn.execute(_SETTINGS).one()
    peak = int(conn.execute(_PEAK).one()[1])
    engines = list(conn.execute(_ENGINES).scalars())
    wanted = mariadb_collation(dialect.is_mariadb)
    different = [
        f"{row.place} ({row.collation})" for row in conn.execute(_COLUMNS, {"wanted": wanted})
    ]
    return [
        _version(conn),
        isolation(conn),
        _collations(different, wanted),
        _tables(engines),
        durability(flush, sync_binlog if log_bin else 1),
        connections(peak, most),
    ]


def _version(conn: Connection) -> Finding:
    dialect: Any = conn.dialect
    name = "MariaDB" if dialect.is_mariadb else "MySQL"
    shown = f"{name} {conn.execute(text('select version()')).scalar_one()}"
    oldest = OLDEST[dialect.is_mariadb]
    if tuple(dialect.server_version_info) >= oldest:
        return Finding("database", "ok", shown)
    needed = ".".join(map(str, oldest))
    return Finding("database", "problem", shown, f"Duly needs {name} {needed} or later")


def _collations(different: list[str], wanted: str) -> Finding:
    if not different:
        return Finding("collation", "ok", f"{wanted} everywhere")
    return Finding(
        "collation",
        "problem",
        f"texts are not compared byte by byte: {', '.join(different[:5])}",
        f"convert these columns back to {wanted}: ids that differ only in case or accents are "
        "treated as equal",
    )


def _tables(other: list[str]) -> Finding:
    if not other:
        return Finding("storage engine", "ok", "InnoDB everywhere")
    advice = "ALTER TABLE … ENGINE=InnoDB: other engines have no transactions"
    return Finding("storage engine", "problem", f"not InnoDB: {', '.join(other)}", advice)


def durability(flush: int, sync_binlog: int) -> Finding:
    """Report whether acknowledged commits survive a crash of the server's machine.

    With a binary log, InnoDB rolls back at its recovery what is missing there.

    Args:
        flush: ``innodb_flush_log_at_trx_commit``.
        sync_binlog: ``sync_binlog``; 1 where the server writes no binary log.
    """
    settings = {"innodb_flush_log_at_trx_commit": flush, "sync_binlog": sync_binlog}
    unsafe = [f"{name} is {value}" for name, value in settings.items() if value != 1]
    if not unsafe:
        return Finding("durability", "ok", "acknowledged commits survive a crash")
    return Finding(
        "durability",
        "warning",
        f"{' and '.join(unsafe)}: acknowledged commits may be lost in a crash",
        "set it to 1; Duly's promises hold for commits that the database keeps",
    )


def connections(peak: int, most: int) -> Finding:
    """Report whether the server has ever had to refuse connections.

    Args:
        peak: the largest number of connections since the server started.
        most: ``max_connections``.
    """
    if peak < most:
        return Finding("connections", "ok", f"at most {peak} of {most} since the server started")
    return Finding(
        "connections",
        "warning",
        f"all {most} connections have been in use since the server started",
        "raise max_connections: each process of Duly uses up to 33, and a worker that cannot "
        "connect loses its lease",
    )
