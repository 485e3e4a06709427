"""INSERT … ON CONFLICT, which PostgreSQL and SQLite share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def overwriting(insert: Any, row: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return a statement that inserts a row, or overwrites the row with the same keys.

    Args:
        insert: the dialect's own INSERT into the table.
        row: the values by column.
        keys: the columns of a unique index.
    """
    changed = {name: value for name, value in row.items() if name not in keys}
    return insert.values(**row).on_conflict_do_update(index_elements=keys, set_=changed)
