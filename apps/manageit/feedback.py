"""Feedback: how students rate meals, once for each meal and day."""

from __future__ import annotations

from datetime import date, timedelta

from apps.manageit import alerts, messes
from apps.manageit.database import Row
from apps.manageit.services import services, today
from apps.manageit.settings import Meal


class AlreadyGiven(Exception):
    """The student has rated this meal of this day before."""


def give(student_id: int, mess: str, meal: Meal, rating: int, comment: str = "") -> None:
    """Store a student's feedback for a meal of today, and bring its summary up to date.

    Raises:
        AlreadyGiven: the student has given some before.
    """
    day, now = today(), services().clock.now()
    with services().database.get_db_cursor() as (cursor, connection):
        messes.lock(cursor, mess)
        given = cursor.insert_new(
            "feedback",
            {
                "student_id": student_id, "mess": mess, "meal": meal, "feedback_date": day,
                "rating": rating, "comment": comment, "created_at": now,
            },
        )  # fmt: skip
        if given is None:
            raise AlreadyGiven(f"You have rated {meal.lower()} today already.")
        key = [mess, meal, day]
        summary = cursor.execute(
            "SELECT AVG(rating * 1.000) AS rating, COUNT(*) AS rating_count FROM feedback"
            " WHERE mess = %s AND meal = %s AND feedback_date = %s",
            key,
        ).one()
        cursor.execute(
            "DELETE FROM feedback_summary WHERE mess = %s AND meal = %s AND feedback_date = %s", key
        )
        cursor.insert(
            "feedback_summary",
            {"mess": mess, "meal": meal, "feedback_date": day, **(summary or {})},
        )
        alerts.generate_soon(mess, connection)


def given_by(student_id: int, day: date) -> dict[str, int]:
    """Return how a student has rated the meals of a day."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        rows = cursor.execute(
            "SELECT meal, rating FROM feedback WHERE student_id = %s AND feedback_date = %s",
            [student_id, day],
        ).all()
    return {row["meal"]: row["rating"] for row in rows}


def recent(mess: str, days: int = 14) -> list[Row]:
    """Return the summaries of a mess from the last days, newest first."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT * FROM feedback_summary WHERE mess = %s AND feedback_date > %s"
            " ORDER BY feedback_date DESC, meal",
            [mess, today() - timedelta(days)],
        ).all()
