"""Sample data: two messes, two weeks of waste and feedback, and a person of each role."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from decimal import Decimal

from apps.manageit import accounts, feedback, menus, messes, waste
from apps.manageit.database import Cursor
from apps.manageit.feedback import AlreadyGiven
from apps.manageit.services import services, today
from duly.integrations.flask import get_scheduler

STUDENT = ("sunil@example.com", "second-helping", "student")
OFFICIAL = ("olga@example.com", "mess-at-noon", "official of mess1")
ADMIN = ("asha@example.com", "runs-the-hostel", "admin")

_MENU = {
    "Breakfast": "Idli, Sambar, Coconut chutney",
    "Lunch": "Rice, Dal, Beans poriyal, Curd",
    "Snacks": "Samosa, Tea",
    "Dinner": "Chapati, Paneer butter masala, Rice",
}
_DAYS = 14
_SOON_S = 20
_RATINGS = {
    "Breakfast": Decimal("4.1"), "Lunch": Decimal("2.7"), "Snacks": Decimal("3.6"),
    "Dinner": Decimal("3.4"),
}  # fmt: skip
_DAILY = {"ground": Decimal("4.5"), "first": Decimal("8.2"), "second": Decimal(3)}


def seed() -> None:
    """Add the data of the first start; waste and feedback of today after each start.

    The alerts of mess1 follow within a minute, and so does a notice of lunch to the admins.
    """
    if not messes.active():
        _add_messes()
        _add_people()
        _add_past()
        menus.add_dated("mess1", today(), "Dinner", "Onam sadya", "festival")
        extras = {"Chicken curry": Decimal("80.50"), "Fish fry": Decimal(95)}
        menus.add_non_veg("mess1", today() + timedelta(1), "Lunch", extras)
    waste.record("mess1", "first", Decimal("12.4"), today())
    for email, rating in ((STUDENT[0], 1), ("mira@example.com", 4)):
        student = accounts.find_by_email(email)
        with contextlib.suppress(AlreadyGiven):
            if student is not None:
                feedback.give(student["id"], "mess1", "Lunch", rating, "The dal was cold.")
    get_scheduler().enqueue(
        "notify_admin", args={"meal": "Lunch"}, delay=_SOON_S, unique_key="sample notice"
    )


def _add_messes() -> None:
    with services().database.get_db_cursor() as (cursor, _connection):
        for name, shown in (("mess1", "North mess"), ("mess2", "South mess")):
            cursor.insert("messes", {"name": name, "display_name": shown})
            for weekday in range(7):
                for meal, items in _MENU.items():
                    row = {"mess_name": name, "weekday": weekday, "meal": meal, "items": items}
                    cursor.insert("regular_menu", row)


def _add_people() -> None:
    accounts.add("Sunil", *STUDENT[:2], "student", "mess1")
    accounts.add("Mira", "mira@example.com", STUDENT[1], "student", "mess1")
    accounts.add("Olga", *OFFICIAL[:2], "mess_official", "mess1")
    accounts.add("Asha", *ADMIN[:2], "admin")


def _add_past() -> None:
    """Store waste and summaries of feedback for the days before today."""
    with services().database.get_db_cursor() as (cursor, _connection):
        for days in range(1, _DAYS + 1):
            for number, mess in enumerate(("mess1", "mess2")):
                _add_day(cursor, mess, today() - timedelta(days), days % 3 - number)


def _add_day(cursor: Cursor, mess: str, day: date, change: int) -> None:
    for floor, kg in _DAILY.items():
        row = {"mess_name": mess, "floor": floor, "waste_date": day, "total_waste": kg + change}
        cursor.insert("waste_summary", row)
    for meal, rating in _RATINGS.items():
        row = {"mess": mess, "meal": meal, "feedback_date": day, "rating_count": 30 + 5 * change}
        cursor.insert("feedback_summary", {**row, "rating": rating + Decimal(change) / 10})
