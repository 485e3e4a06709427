"""Changing many rows, each to values of its own, in as few round trips as the driver allows.

The counterpart of `bulk`: the text of a statement is made once for each table, set of columns and
dialect. SQLite and MariaDB take tuples; PostgreSQL takes one array for each column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table, TextClause, bindparam, text, update

from duly.store.bulk import CHUNK, Convert, array, converted, converter, plain_type, positional

Columns = Mapping[str, Sequence[Any]]
"""Values by column, all of the same number and in the same order of rows."""


def update_rows(conn: Connection, table: Table, where: Columns, to: Columns) -> int:
    """Set columns of many rows; returns how many rows were found.

    Args:
        conn: the connection.
        table: whose.
        where: what each row must hold to be changed: its key, and what the caller has seen.
        to: what it is set to.
    """
    number = len(next(iter(where.values())))
    found = 0
    for first in range(0, number, CHUNK):
        found += _update(conn, table, _part(where, first), _part(to, first))
    return found


def _part(columns: Columns, first: int) -> Columns:
    return {name: values[first : first + CHUNK] for name, values in columns.items()}


def _update(conn: Connection, table: Table, where: Columns, to: Columns) -> int:
    values = [list(held) for held in (*where.values(), *to.values())]
    if conn.dialect.name == "postgresql":
        statement, converters = _arrays(table, tuple(where), tuple(to), conn.dialect)
        arrays = {
            f"a{place}": array(converted(held, convert))
            for place, (held, convert) in enumerate(zip(values, converters, strict=True))
        }
        return conn.execute(statement, arrays).rowcount
    sql, order, converters = _tuples(table, tuple(where), tuple(to), conn.dialect)
    columns = [converted(values[place], converters[place]) for place in order]
    return conn.exec_driver_sql(sql, list(zip(*columns, strict=True))).rowcount


@lru_cache(maxsize=64)
def _tuples(
    table: Table, where: tuple[str, ...], to: tuple[str, ...], dialect: Dialect
) -> tuple[str, list[int], list[Convert | None]]:
    """The statement for one row, which value goes where in it, and what converts them."""
    names = (*where, *to)
    places = {f"a{place}": place for place in range(len(names))}
    seen = [table.c[name] == bindparam(f"a{place}") for place, name in enumerate(where)]
    made: dict[str, Any] = {
        name: bindparam(f"a{len(where) + place}") for place, name in enumerate(to)
    }
    compiled: Any = update(table).where(*seen).values(made).compile(dialect=positional(dialect))
    order = [places[name] for name in compiled.positiontup]
    return str(compiled), order, [converter(table, name, dialect) for name in names]


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
    held = " AND ".join(f"held.{quote(name)} = many.a{place}" for place, name in enumerate(where))
    columns = ", ".join(f"a{place}" for place in range(len(names)))
    place = dialect.identifier_preparer.format_table(table)
    statement = (  # noqa: S608 - made of the tables' own names
        f"UPDATE {place} AS held SET {sets} FROM unnest({arrays}) AS many({columns}) WHERE {held}"
    )
    return text(statement), [converter(table, name, dialect) for name in names]
