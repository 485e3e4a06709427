"""The messes themselves."""

from __future__ import annotations

from apps.manageit.database import Row
from apps.manageit.services import services


def active() -> list[Row]:
    """Return the messes that are in use, by name."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute("SELECT * FROM messes WHERE active = 1 ORDER BY name").all()
