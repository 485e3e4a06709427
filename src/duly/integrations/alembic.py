"""Alembic: keeps the host's ``alembic revision --autogenerate`` away from Duly's tables.

They are not in the host's metadata, so that Alembic would otherwise drop them.
"""

from __future__ import annotations

from typing import Any

PREFIX = "duly_"
"""The beginning of the names of all tables and indexes of Duly, in every version."""


def include_name(name: str | None, type_: str, parent_names: Any = None) -> bool:
    """Return whether Alembic compares what it found in the database: all but Duly's tables.

    Pass it to ``context.configure(include_name=include_name)``. A function of your own is combined
    with it by ``and``.

    Args:
        name: the name of what was found; ``None`` for the default schema.
        type_: what it is: ``schema``, ``table``, ``column``, ``index``, …
        parent_names: the names of its schema and its table.
    """
    table = name if type_ == "table" else (parent_names or {}).get("table_name")
    return not (table or "").startswith(PREFIX)


def include_object(
    object_: Any, name: str | None, type_: str, reflected: bool = False, compare_to: Any = None
) -> bool:
    """Return whether Alembic compares an object: all but Duly's tables and what belongs to them.

    It does the same as `include_name`, for hosts that already configure ``include_object``.

    Args:
        object_: the table, column, index or constraint.
        name: its name.
        type_: what it is: ``table``, ``column``, ``index``, …
        reflected: whether it was found in the database.
        compare_to: its counterpart, if there is one.
    """
    table = name if type_ == "table" else getattr(getattr(object_, "table", None), "name", None)
    return not (table or "").startswith(PREFIX)
