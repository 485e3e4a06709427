"""Counts that stop at a bound, so that they take no longer for a million rows than for a few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    TextClause,
    func,
    literal_column,
    select,
)

from duly.model.run import COUNTED

Condition = ColumnElement[bool] | TextClause


def bounded_counts(
    conn: Connection, table: Table, wanted: Iterable[tuple[str, Condition]]
) -> dict[str, int]:
    """Count rows in one statement, by name; names without rows are left out.

    Args:
        conn: the connection.
        table: the table.
        wanted: names, each with a condition that an index serves. The numbers of conditions that
            have the same name are added up.
    """
    pairs = list(wanted)
    numbers = conn.execute(select(*(_up_to(table, condition) for _name, condition in pairs))).one()
    found: dict[str, int] = {}
    for (name, _condition), number in zip(pairs, numbers, strict=True):
        if number:
            found[name] = min(COUNTED, found.get(name, 0) + number)
    return found


def count_up_to(conn: Connection, statement: Select[Any], limit: int) -> int:
    """Count the rows of a statement; counting stops at ``limit``."""
    some = statement.limit(limit).subquery()
    return conn.execute(select(func.count()).select_from(some)).scalar_one()


def _up_to(table: Table, condition: Condition) -> ColumnElement[int]:
    some: Select[Any] = (
        select(literal_column("1")).select_from(table).where(condition).limit(COUNTED)
    )
    return select(func.count()).select_from(some.subquery()).scalar_subquery()
