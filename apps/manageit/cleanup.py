"""Clean-up: which rows are deleted once they are old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from apps.manageit.database import Cursor, DatabaseManager
from apps.manageit.services import services
from apps.manageit.settings import CleanupTable
from duly.errors import ConfigurationError

AT_ONCE = 1_000
"""The most rows of a table that one transaction deletes."""

OLD_MENUS = (
    CleanupTable("temporary_menu", "menu_date", 0),
    CleanupTable("non_veg_menu_main", "menu_date", 0),
)
"""Menus of past days; the extras of a meal are deleted by cascade."""

OLD_HISTORY = (
    CleanupTable("mess_alerts", "resolved_at", 90),
    CleanupTable("notifications", "read_at", 180),
    CleanupTable("mails", "created_at", 180),
)
"""Alerts that were resolved, notices that were read, and mails; Duly deletes its runs itself."""


def check_tables(database: DatabaseManager, tables: Sequence[CleanupTable]) -> None:
    """Refuse tables and columns that cannot be cleaned up.

    Raises:
        ConfigurationError: one cannot; the message names it.
    """
    for each in tables:
        named = f"CLEANUP_TABLES names {each.table}:{each.column}"
        columns = database.columns_of(each.table)
        if each.column not in columns:
            raise ConfigurationError(f"{named}, which does not exist")
        if "id" not in columns or not each.column.endswith(("_at", "_date")):
            raise ConfigurationError(
                f"{named}; name a table with an id, and a column that ends in _at or _date"
            )


def delete_old(cursor: Cursor, table: CleanupTable, today: date) -> int:
    """Delete rows of a table that are older than the days for which they are kept.

    Returns:
        Their number. If it is `AT_ONCE`, there may be more.
    """
    before = _limit(table, today)
    # The names were compared with the schema at the start.
    ids = cursor.execute(
        f"SELECT id FROM {table.table} WHERE {table.column} < %s LIMIT {AT_ONCE}",  # noqa: S608
        [before],
    ).values()
    if ids:
        marks = ", ".join(["%s"] * len(ids))
        cursor.execute(f"DELETE FROM {table.table} WHERE id IN ({marks})", ids)  # noqa: S608
    return len(ids)


def _limit(table: CleanupTable, today: date) -> date:
    """Return the oldest date that is kept, or the instant at which it begins."""
    oldest = today - timedelta(table.days)
    if table.column.endswith("_date"):
        return oldest
    return datetime.combine(oldest, time(), services().settings.zone)
