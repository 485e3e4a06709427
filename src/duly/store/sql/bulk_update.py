"""Update many rows, each to values of its own, with as few round trips as the driver allows.

The counterpart of `bulk_insert`: the SQL is generated once for each table, set of columns and
dialect. SQLite takes tuples and PostgreSQL an array for each column. MariaDB takes one JSON text,
because its drivers would send an UPDATE for each tuple.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, String, Table, TextClause, bindparam, text, update
from sqlalchemy.types import TypeDecorator

from duly.store.sql.bulk_insert import CHUNK, Convert, array, converted, converter, plain_type
from duly.store.sql.columns import Instant, mariadb_collation

Columns = Mapping[str, Sequence[Any]]
"""Values by column, in the same order of rows."""


def update_rows(conn: Connection, table: Table, where: Columns, to: Columns) -> int:
    """Set columns of many rows and return the number of matched rows.

    Args:
        conn: the connection.
        table: the table.
        where: columns that must match for a row to be changed: its key, and values read before.
        to: the new values.
    """
    number = len(next(iter(where.values())))
    found = 0
    for first in range(0, number, CHUNK):
        found += _update(conn, table, _part(where, first), _part(to, first))
    return found


def _part(columns: Columns, first: int) -> Columns:
    return {name: values[first : first + CHUNK] for name, values in columns.items()}


def _update(conn: Connection, table: Table, where: Columns, to: Columns) -> int:
    values = [list(column) for column in (*where.values(), *to.values())]
    if conn.dialect.name == "postgresql":
        statement, converters = _arrays(table, tuple(where), tuple(to), conn.dialect)
        arrays = {
            f"a{place}": array(converted(column, convert))
            for place, (column, convert) in enumerate(zip(values, converters, strict=True))
        }
        return conn.execute(statement, arrays).rowcount
    if conn.dialect.name != "sqlite":
        sql, converters = _json(table, tuple(where), tuple(to), conn.dialect)
        columns = [
            converted(column, convert) for column, convert in zip(values, converters, strict=True)
        ]
        rows = json.dumps(list(zip(*columns, strict=True)), default=str)
        return conn.exec_driver_sql(sql, (rows,)).rowcount
    sql, order, converters = _tuples(table, tuple(where), tuple(to), conn.dialect)
    columns = [converted(values[place], converters[place]) for place in order]
    return conn.exec_driver_sql(sql, list(zip(*columns, strict=True))).rowcount


@lru_cache(maxsize=64)
def _tuples(
    table: Table, where: tuple[str, ...], to: tuple[str, ...], dialect: Dialect
) -> tuple[str, list[int], list[Convert | None]]:
    """Return the statement for one row, the order of its parameters, and their converters."""
    names = (*where, *to)
    places = {f"a{place}": place for place in range(len(names))}
    matches = [table.c[name] == bindparam(f"a{place}") for place, name in enumerate(where)]
    new_values: dict[str, Any] = {
        name: bindparam(f"a{len(where) + place}") for place, name in enumerate(to)
    }
    compiled: Any = update(table).where(*matches).values(new_values).compile(dialect=dialect)
    order = [places[name] for name in compiled.positiontup]
    return str(compiled), order, [converter(table, name, dialect) for name in names]


@lru_cache(maxsize=64)
def _json(
    table: Table, where: tuple[str, ...], to: tuple[str, ...], dialect: Any
) -> tuple[str, list[Convert | None]]:
    """Return a statement that joins the JSON text first, so that each row is found by its key."""
    quote = dialect.identifier_preparer.quote
    names = (*where, *to)
    kinds = [_json_kind(table, name, dialect) for name in names]
    columns = ", ".join(f"a{i} {kind} PATH '$[{i}]'" for i, kind in enumerate(kinds))
    matches = " AND ".join(f"target.{quote(name)} = many.a{i}" for i, name in enumerate(where))
    sets = ", ".join(f"target.{quote(name)} = many.a{len(where) + i}" for i, name in enumerate(to))
    source = f"JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS many"
    place = dialect.identifier_preparer.format_table(table)
    statement = f"UPDATE {source} STRAIGHT_JOIN {place} AS target ON {matches} SET {sets}"  # noqa: S608
    return statement, [converter(table, name, dialect) for name in names]


def _json_kind(table: Table, name: str, dialect: Any) -> str:
    """Return the column's full type, which a host's engine cannot derive."""
    column_type = table.c[name].type
    if isinstance(column_type, Instant):
        return "DATETIME(6)"
    plain = column_type.impl_instance if isinstance(column_type, TypeDecorator) else column_type
    if isinstance(plain, String):
        length = f"VARCHAR({plain.length})" if plain.length else "TEXT"
        return f"{length} CHARACTER SET utf8mb4 COLLATE {mariadb_collation(dialect.is_mariadb)}"
    return str(dialect.type_compiler_instance.process(column_type))


@lru_cache(maxsize=64)
def _arrays(
    table: Table, where: tuple[str, ...], to: tuple[str, ...], dialect: Dialect
) -> tuple[TextClause, list[Convert | None]]:
    quote = dialect.identifier_preparer.quote
    names = (*where, *to)
    arrays = ", ".join(
        f"CAST(CAST(:a{place} AS TEXT) AS {plain_type(table, name, dialect)}[])"
        for place, name in enumerate(names)
    )
    sets = ", ".join(f"{quote(name)} = many.a{len(where) + i}" for i, name in enumerate(to))
    matches = " AND ".join(
        f"target.{quote(name)} = many.a{place}" for place, name in enumerate(where)
    )
    columns = ", ".join(f"a{place}" for place in range(len(names)))
    place = dialect.identifier_preparer.format_table(table)
    source = f"unnest({arrays}) AS many({columns})"
    statement = f"UPDATE {place} AS target SET {sets} FROM {source} WHERE {matches}"  # noqa: S608
    return text(statement), [converter(table, name, dialect) for name in names]
