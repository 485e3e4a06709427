"""Ids in pages, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select


def ids_after(
    conn: Connection, ids: Select[Any], column: Column[Any], after: str | None, limit: int
) -> Sequence[str]:
    """Return the first ids that sort after an id.

    Args:
        conn: the connection.
        ids: the statement that selects them all.
        column: the column of the ids.
        after: the last id of the page before; ``None``: this is the first page.
        limit: the maximum number of ids.
    """
    if after is not None:
        ids = ids.where(column > after)
    return conn.execute(ids.order_by(column).limit(limit)).scalars().all()
