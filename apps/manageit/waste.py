"""Food waste: what each floor of a mess has thrown away."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from apps.manageit import alerts, messes
from apps.manageit.database import Row
from apps.manageit.services import services, today


def record(mess: str, floor: str, kg: Decimal, day: date, meal: str = "") -> None:
    """Store the waste of a floor on a day, in place of what was stored for it."""
    key = [mess, floor, day, meal]
    with services().database.get_db_cursor() as (cursor, connection):
        messes.lock(cursor, mess)
        cursor.execute(
            "DELETE FROM waste_summary"
            " WHERE mess_name = %s AND floor = %s AND waste_date = %s AND meal = %s",
            key,
        )
        cursor.insert(
            "waste_summary",
            {
                "mess_name": mess, "floor": floor, "total_waste": kg, "waste_date": day,
                "meal": meal,
            },
        )  # fmt: skip
        alerts.generate_soon(mess, connection)


def recent(mess: str, days: int = 14) -> list[Row]:
    """Return what was recorded for a mess in the last days, newest first."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT * FROM waste_summary WHERE mess_name = %s AND waste_date > %s"
            " ORDER BY waste_date DESC, floor",
            [mess, today() - timedelta(days)],
        ).all()
