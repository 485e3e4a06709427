"""INSERT … ON CONFLICT, which PostgreSQL and SQLite share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def adding(insert: Any, keys: Sequence[str]) -> Any:
    """Return a statement that inserts rows, or adds their ``count`` to rows with the same keys.

    Args:
        insert: the dialect's own INSERT into the table.
        keys: the columns of a unique index.
    """
    total = insert.table.c["count"] + insert.excluded["count"]
    return insert.on_conflict_do_update(index_elements=keys, set_={"count": total})


def overwriting(insert: Any, row: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return a statement that inserts a row, or overwrites the row with the same keys.

    Args:
        insert: the dialect's own INSERT into the table.
        row: the values by column.
        keys: the columns of a unique index.
    """
    changed = {name: value for name, value in row.items() if name not in keys}
    return insert.values(**row).on_conflict_do_update(index_elements=keys, set_=changed)
