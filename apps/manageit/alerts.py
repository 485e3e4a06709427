"""Alerts: floors that waste much, and meals that are rated badly, within the last days.

The alerts of a mess are replaced in one transaction. If that fails, the previous ones stay, marked
as stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from apps.manageit import messes
from apps.manageit.database import Cursor, Row
from apps.manageit.services import services, today
from duly.integrations.flask import get_scheduler

Kind = Literal["high_waste", "low_feedback"]
SOON_S = 60


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that holds now.

    Attributes:
        kind: what it is.
        subject: the floor or the meal.
        value: the sum of the waste in kilograms, or the average rating.
    """

    kind: Kind
    subject: str
    value: Decimal

    @property
    def message(self) -> str:
        """The text for people."""
        if self.kind == "high_waste":
            return f"⚠ High waste: {self.value} Kg on {self.subject} floor."
        return f"⚠ Low feedback: Avg {self.value} for {self.subject}"


def generate(mess: str) -> dict[str, int]:
    """Replace the alerts of a mess by those that hold now, and return how many there are."""
    with services().database.get_db_cursor() as (cursor, _connection):
        active = messes.lock(cursor, mess)
        conditions = _conditions(cursor, mess) if active else []
        _replace(cursor, mess, conditions)
        cursor.execute(
            "UPDATE messes SET alerts_generated_at = %s, alerts_failed_at = NULL WHERE name = %s",
            [services().clock.now(), mess],
        )
    kinds = [condition.kind for condition in conditions]
    return {"high_waste": kinds.count("high_waste"), "low_feedback": kinds.count("low_feedback")}


def mark_stale(mess: str) -> None:
    """Note that the alerts of a mess could not be replaced."""
    with services().database.get_db_cursor() as (cursor, _connection):
        cursor.execute(
            "UPDATE messes SET alerts_failed_at = %s WHERE name = %s",
            [services().clock.now(), mess],
        )


def generate_soon(mess: str, connection: Any) -> None:
    """Generate the alerts of a mess within a minute, once however much is recorded meanwhile."""
    get_scheduler().enqueue(
        "generate_alerts_of", args={"mess": mess}, delay=SOON_S, unique_key=f"alerts {mess}",
        session=connection,
    )  # fmt: skip


def _conditions(cursor: Cursor, mess: str) -> list[Condition]:
    settings, end = services().settings, today()
    start = end - timedelta(settings.alert_window_days - 1)
    waste = cursor.execute(
        "SELECT floor AS subject, ROUND(SUM(total_waste), 2) AS value FROM waste_summary"
        " WHERE mess_name = %s AND waste_date BETWEEN %s AND %s"
        " GROUP BY floor HAVING ROUND(SUM(total_waste), 2) > %s ORDER BY floor",
        [mess, start, end, settings.high_waste_kg],
    ).all()
    ratings = cursor.execute(
        "SELECT meal AS subject, ROUND(SUM(rating * rating_count) / SUM(rating_count), 4) AS value"
        " FROM feedback_summary WHERE mess = %s AND feedback_date BETWEEN %s AND %s"
        " AND rating_count > 0 GROUP BY meal HAVING SUM(rating_count) >= %s"
        " AND ROUND(SUM(rating * rating_count) / SUM(rating_count), 4) < %s ORDER BY meal",
        [mess, start, end, settings.low_rating_min_count, settings.low_rating],
    ).all()
    return [
        *(Condition("high_waste", row["subject"], _rounded(row["value"])) for row in waste),
        *(Condition("low_feedback", row["subject"], _rounded(row["value"])) for row in ratings),
    ]


def _rounded(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))


def _replace(cursor: Cursor, mess: str, conditions: list[Condition]) -> None:
    """Open alerts for new conditions, keep those that continue, and resolve the others."""
    now, end = services().clock.now(), today()
    window = {
        "window_start_date": end - timedelta(services().settings.alert_window_days - 1),
        "window_end_date": end,
    }
    stored = {
        (row["kind"], row["subject"]): row["id"] for row in cursor.execute(
            "SELECT id, kind, subject FROM mess_alerts WHERE mess_name = %s AND open_marker = 1",
            [mess],
        ).all()
    }  # fmt: skip
    for condition in conditions:
        current = {
            "value": condition.value,
            "message": condition.message,
            "generated_at": now,
            **window,
        }
        known = stored.pop((condition.kind, condition.subject), None)
        if known is None:
            key = {"mess_name": mess, "kind": condition.kind, "subject": condition.subject}
            cursor.insert("mess_alerts", {**key, **current, "first_seen_at": now})
        else:
            changes = ", ".join(f"{name} = %s" for name in current)
            cursor.execute(
                f"UPDATE mess_alerts SET {changes} WHERE id = %s",  # noqa: S608 - names of code
                [*current.values(), known],
            )
    for gone in stored.values():
        cursor.execute(
            "UPDATE mess_alerts SET resolved_at = %s, open_marker = NULL WHERE id = %s", [now, gone]
        )


@dataclass(frozen=True, slots=True)
class Board:
    """The alerts of a mess as its officials see them.

    Attributes:
        mess: the row of the mess.
        alerts: its open alerts, oldest first.
        stale: whether they may be out of date.
    """

    mess: Row
    alerts: list[Row]
    stale: bool


def board(mess: str) -> Board | None:
    """Return the alerts of a mess; ``None``: there is no such mess."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        found = cursor.execute("SELECT * FROM messes WHERE name = %s", [mess]).one()
        if found is None:
            return None
        alerts = cursor.execute(
            "SELECT * FROM mess_alerts WHERE mess_name = %s AND open_marker = 1"
            " ORDER BY first_seen_at, id",
            [mess],
        ).all()
    return Board(found, alerts, is_stale(found))


def is_stale(mess: Row) -> bool:
    """Return whether alerts of a mess could not be replaced, or are older than two intervals."""
    generated = mess["alerts_generated_at"]
    if generated is None:
        return False
    oldest = services().clock.now() - 2 * timedelta(
        minutes=services().settings.alert_interval_minutes
    )
    return mess["alerts_failed_at"] is not None or generated < oldest


def acknowledge(alert_id: int, mess: str, user_id: int) -> Literal["done", "absent", "resolved"]:
    """Note that an official has seen an alert."""
    with services().database.get_db_cursor() as (cursor, _connection):
        found = cursor.execute(
            "SELECT resolved_at FROM mess_alerts WHERE id = %s AND mess_name = %s FOR UPDATE",
            [alert_id, mess],
        ).one()
        if found is None:
            return "absent"
        if found["resolved_at"] is not None:
            return "resolved"
        cursor.execute(
            "UPDATE mess_alerts SET acknowledged_by = %s, acknowledged_at = %s"
            " WHERE id = %s AND acknowledged_at IS NULL",
            [user_id, services().clock.now(), alert_id],
        )
        return "done"
