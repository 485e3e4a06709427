"""Sample data: two messes, a week of waste and feedback, and a person of each role."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from decimal import Decimal

from apps.manageit import accounts, feedback, menus, messes, waste
from apps.manageit.feedback import AlreadyGiven
from apps.manageit.services import services, today

STUDENT = ("sunil@example.com", "second-helping", "student")
OFFICIAL = ("olga@example.com", "mess-at-noon", "official of mess1")
ADMIN = ("asha@example.com", "runs-the-hostel", "admin")

_MENU = {
    "Breakfast": "Idli, Sambar, Coconut chutney",
    "Lunch": "Rice, Dal, Beans poriyal, Curd",
    "Snacks": "Samosa, Tea",
    "Dinner": "Chapati, Paneer butter masala, Rice",
}
_DAILY = {"ground": Decimal("4.5"), "first": Decimal("8.2"), "second": Decimal(3)}


def seed() -> None:
    """Add the data of the first start; waste and feedback of today after each start.

    The alerts of mess1 follow within a minute.
    """
    if not messes.active():
        _add_messes()
        _add_people()
        _add_past_waste()
        menus.add_dated("mess1", today(), "Dinner", "Onam sadya", "festival")
        extras = {"Chicken curry": Decimal("80.50"), "Fish fry": Decimal(95)}
        menus.add_non_veg("mess1", today() + timedelta(1), "Lunch", extras)
    waste.record("mess1", "first", Decimal("12.4"), today())
    for email, rating in ((STUDENT[0], 1), ("mira@example.com", 4)):
        student = accounts.find_by_email(email)
        with contextlib.suppress(AlreadyGiven):
            if student is not None:
                feedback.give(student["id"], "mess1", "Lunch", rating, "The dal was cold.")


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


def _add_past_waste() -> None:
    for days in range(1, 7):
        for floor, kg in _DAILY.items():
            waste.record("mess1", floor, kg + days % 3, today() - timedelta(days))
