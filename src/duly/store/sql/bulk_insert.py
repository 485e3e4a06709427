"""Insert many rows with few statements, in the way that is fastest with each database's driver.

The SQL is generated once for each table, set of columns and dialect, and values are converted by
column, with the processor of the column's type. SQLite and MariaDB take tuples, which MariaDB's
drivers combine into statements of many rows. PostgreSQL takes an array for each column whose values
differ and a single value for every other column; arrays are sent as text, because drivers adapt
arrays slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert, text

CHUNK = 1000
"""The maximum number of rows in one statement; more would not be faster."""

SEVERAL = (500, 100, 20)
"""Numbers of rows in one statement on SQLite; one statement for each row took 50 % longer."""

Convert = Callable[[Any], Any]
Columns = Mapping[str, list[Any]]


def insert_rows(
    conn: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    on_conflict_ignore: bool = False,
) -> int:
    """Insert rows that all have the same keys; other columns get the database's default.

    Args:
        conn: a connection, which may be the host's.
        table: the table.
        rows: the values by column, as the columns' types take them.
        on_conflict_ignore: whether to skip rows whose unique keys exist already, in the table or
            in an earlier row; otherwise such a row is an error.

    Returns:
        The number of inserted rows; -1 on MariaDB, which does not report how many were skipped.
    """
    insert_chunk = _by_arrays if conn.dialect.name == "postgresql" else _by_tuples
    stored = 0
    for first in range(0, len(rows), CHUNK):
        columns = _columns(table, rows[first : first + CHUNK])
        stored += insert_chunk(conn, table, columns, on_conflict_ignore)
    return -1 if on_conflict_ignore and conn.dialect.name in _SILENT else stored


def _columns(table: Table, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return the values by column, without columns of only NULLs that have no default."""
    kept = _with_defaults(table)
    if len(rows) == 1:  # such as a single enqueued call
        row = rows[0].items()
        return {name: [value] for name, value in row if value is not None or name in kept}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: values
        for name, values in columns.items()
        if values[0] is not None or name in kept or values.count(None) < len(values)
    }


@lru_cache(maxsize=32)
def _with_defaults(table: Table) -> frozenset[str]:
    return frozenset(column.name for column in table.c if column.server_default is not None)


def _by_tuples(conn: Connection, table: Table, columns: Columns, ignore: bool) -> int:
    statement, names, converters = _values_statement(table, tuple(columns), ignore, conn.dialect)
    values = [
        converted(columns[name], convert) for name, convert in zip(names, converters, strict=True)
    ]
    rows, stored = list(zip(*values, strict=True)), 0
    for size in SEVERAL if conn.dialect.name == "sqlite" else ():
        several = _several(statement, len(names), size)
        while len(rows) >= size:
            batch, rows = rows[:size], rows[size:]
            stored += conn.exec_driver_sql(several, tuple(chain.from_iterable(batch))).rowcount
    return stored + (conn.exec_driver_sql(statement, rows).rowcount if rows else 0)


@lru_cache(maxsize=256)
def _several(statement: str, width: int, size: int) -> str:
    row = f"({', '.join('?' * width)})"
    return statement.replace(row, ", ".join([row] * size), 1)


@lru_cache(maxsize=256)
def _values_statement(
    table: Table, names: tuple[str, ...], ignore: bool, dialect: Dialect
) -> tuple[str, list[str], list[Convert | None]]:
    """Return the statement for one row, its columns in order, and their converters."""
    statement = (_SKIPPING[dialect.name](table) if ignore else insert(table)).inline()
    compiled: Any = statement.compile(dialect=positional(dialect), column_keys=list(names))
    order = list(compiled.positiontup)
    return str(compiled), order, [converter(table, name, dialect) for name in order]


def positional(dialect: Dialect) -> Dialect:
    """Return the dialect with positional parameters, which MariaDB's drivers also take."""
    dialect_class: Any = type(dialect)
    return dialect if dialect.positional else dialect_class(paramstyle="format")


def _on_sqlite(table: Table) -> Any:
    from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415 - see `dialect_of`

    return insert(table).on_conflict_do_nothing()


def _on_mariadb(table: Table) -> Any:
    """Set an existing row's key to itself; INSERT IGNORE would also skip or truncate bad values."""
    from sqlalchemy.dialects.mysql import insert  # noqa: PLC0415 - see `dialect_of`

    key = next(iter(table.primary_key))
    return insert(table).on_duplicate_key_update({key.name: key})


_SKIPPING: Mapping[str, Callable[[Table], Any]] = {
    "sqlite": _on_sqlite,
    "mysql": _on_mariadb,
    "mariadb": _on_mariadb,
}
_SILENT = frozenset({"mysql", "mariadb"})
"""Databases whose row counts do not distinguish inserted rows from skipped ones."""


def _by_arrays(conn: Connection, table: Table, columns: Columns, ignore: bool) -> int:
    alike = [name for name, values in columns.items() if _is_alike(values)]
    if len(alike) == len(columns) and len(columns[alike[0]]) > 1:
        alike.pop()  # an array determines the number of rows
    differing = tuple(name for name in columns if name not in alike)
    statement, order, converters = _arrays_statement(
        table, tuple(alike), differing, ignore, conn.dialect
    )
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if name in alike:
            arrays[name] = converted(values[:1], converters[name])[0]
        else:
            arrays[name] = array(converted(values, converters[name]))
    parameters = arrays if order is None else tuple(arrays[name] for name in order)
    return conn.exec_driver_sql(statement, parameters).rowcount


@lru_cache(maxsize=256)
def _arrays_statement(
    table: Table,
    alike: tuple[str, ...],
    differing: tuple[str, ...],
    ignore: bool,
    dialect: Dialect,
) -> tuple[str, list[str] | None, dict[str, Convert | None]]:
    """Return the statement, its columns in order, and their converters.

    The order is ``None`` for a driver that takes names, which are those of the columns.
    """
    quote = dialect.identifier_preparer.quote
    kinds = {name: plain_type(table, name, dialect) for name in (*alike, *differing)}
    into = ", ".join(quote(name) for name in kinds)
    values = [f"CAST(:{name} AS {kinds[name]})" for name in alike]
    values += [f"many.{quote(name)}" for name in differing]
    arrays = ", ".join(f"CAST(CAST(:{name} AS TEXT) AS {kinds[name]}[])" for name in differing)
    named = ", ".join(map(quote, differing))
    source = f" FROM unnest({arrays}) AS many({named})" if differing else ""
    end = " ON CONFLICT DO NOTHING" if ignore else ""
    place = dialect.identifier_preparer.format_table(table)
    statement = f"INSERT INTO {place} ({into}) SELECT {', '.join(values)}{source}{end}"
    compiled: Any = text(statement).compile(dialect=dialect)
    converters = {name: converter(table, name, dialect) for name in kinds}
    return str(compiled), compiled.positiontup, converters


def plain_type(table: Table, name: str, dialect: Dialect) -> str:
    """Return the column's type without its length, which a cast would truncate to."""
    kind: str = dialect.type_compiler_instance.process(table.c[name].type)
    return kind.partition("(")[0]


def converter(table: Table, name: str, dialect: Dialect) -> Convert | None:
    """Return the function that converts values for the driver; ``None``: none is needed."""
    processor: Convert | None = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    return processor


def converted(values: list[Any], convert: Convert | None) -> list[Any]:
    """Convert a column's values for the driver."""
    if convert is None:
        return values
    return [convert(values[0])] * len(values) if _is_alike(values) else list(map(convert, values))


def _is_alike(values: list[Any]) -> bool:
    return values.count(values[0]) == len(values)


def array(values: Sequence[Any]) -> str:
    """Format values as a PostgreSQL array literal."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
