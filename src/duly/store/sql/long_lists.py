"""``column IN (list)`` with one parameter, for lists of any length.

SQLAlchemy's own form generates the SQL for each length of a list again: 0.5 ms for 500 values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    func,
)
from sqlalchemy import select as _select
from sqlalchemy.types import TypeDecorator

from duly.model.text import replace_unstorable
from duly.store.sql.bulk_insert import CHUNK, array


def among(database: str, column: Column[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column's value is in a list of texts.

    Args:
        database: the dialect's name.
        column: a column of ids or names.
        name: the name of the parameter that takes the list.
    """
    if database == "sqlite":
        values = func.json_each(bindparam(name, type_=_Listed())).table_valued("value")
        return column.in_(_select(values.c.value))
    if database == "postgresql":
        listed = cast(bindparam(name, type_=_Listed()), Text)
        return column == any_(cast(listed, ARRAY(column.type)))
    return column.in_(bindparam(name, expanding=True))  # no such subquery uses an index there


def in_parts(conn: Connection, statement: Select[Any], wanted: Sequence[str]) -> dict[str, str]:
    """Execute a statement of two columns for a long list, in chunks.

    Args:
        conn: the connection.
        statement: a query that takes a list as the parameter ``wanted``.
        wanted: the list.

    Returns:
        The values of the second column by those of the first.
    """
    found: dict[str, str] = {}
    for first in range(0, len(wanted), CHUNK):
        rows = conn.execute(statement, {"wanted": wanted[first : first + CHUNK]})
        found.update((row[0], row[1]) for row in rows)
    return found


class _Listed(TypeDecorator[Sequence[str]]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        listed = list(map(replace_unstorable, value or ()))
        return array(listed) if dialect.name == "postgresql" else json.dumps(listed)
