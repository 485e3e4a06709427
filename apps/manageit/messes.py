"""The messes themselves."""

from __future__ import annotations

from apps.manageit.database import Cursor, Row
from apps.manageit.services import services


def active() -> list[Row]:
    """Return the messes that are in use, by name."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute("SELECT * FROM messes WHERE active = 1 ORDER BY name").all()


def with_alerts() -> list[str]:
    """Return the names of the messes that are in use, or that were closed with open alerts."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT name FROM messes WHERE active = 1 OR EXISTS"
            " (SELECT id FROM mess_alerts WHERE mess_name = messes.name AND open_marker = 1)"
            " ORDER BY name"
        ).values()


def lock(cursor: Cursor, mess: str) -> bool:
    """Keep other transactions from writing what belongs to a mess; return whether it is in use.

    Transactions read what others have committed before, if they read nothing earlier. Without the
    lock, two that replace the same rows would block each other on MariaDB.
    """
    found = cursor.execute("SELECT active FROM messes WHERE name = %s FOR UPDATE", [mess])
    return bool(found.value())
