"""Menus: the regular week, dated entries instead of it, and non-vegetarian extras."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from apps.manageit.database import Row
from apps.manageit.services import services, today
from apps.manageit.settings import MEAL_TIMES, Meal

MEALS = tuple(MEAL_TIMES)


def menu_of(mess: str, day: date) -> list[Row]:
    """Return each meal of a day with its items: dated ones instead of the regular ones."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        regular = cursor.execute(
            "SELECT meal, items FROM regular_menu WHERE mess_name = %s AND weekday = %s",
            [mess, day.weekday()],
        ).all()
        dated = cursor.execute(
            "SELECT meal, item_name FROM temporary_menu WHERE mess_name = %s AND menu_date = %s"
            " ORDER BY id",
            [mess, day],
        ).all()
        extras = cursor.execute(
            "SELECT m.meal, i.item_name, i.price FROM non_veg_menu_main m"
            " JOIN non_veg_menu_items i ON i.main_id = m.id"
            " WHERE m.mess_name = %s AND m.menu_date = %s ORDER BY i.id",
            [mess, day],
        ).all()
    usual = {row["meal"]: row["items"].split(", ") for row in regular}
    meals = []
    for meal in MEALS:
        changed = [row["item_name"] for row in dated if row["meal"] == meal]
        meals.append({
            "meal": meal, "items": changed or usual.get(meal, []), "changed": bool(changed),
            "non_veg": [row for row in extras if row["meal"] == meal],
        })  # fmt: skip
    return meals


def add_dated(mess: str, day: date, meal: Meal, item: str, category: str = "") -> int | None:
    """Store an item that replaces the regular menu of a meal on one day.

    Returns:
        Its id; ``None``: it is on that menu already.
    """
    with services().database.get_db_cursor() as (cursor, _connection):
        return cursor.insert_new(
            "temporary_menu",
            {
                "created_at": services().clock.now(), "menu_date": day, "mess_name": mess,
                "meal": meal, "item_name": item, "category": category,
            },
        )  # fmt: skip


def add_non_veg(mess: str, day: date, meal: Meal, items: Mapping[str, Any]) -> int:
    """Add non-vegetarian extras to a meal of one day, each with its price."""
    key = {"menu_date": day, "mess_name": mess, "meal": meal}
    with services().database.get_db_cursor() as (cursor, _connection):
        cursor.insert_new("non_veg_menu_main", key)
        main: int = cursor.execute(
            "SELECT id FROM non_veg_menu_main"
            " WHERE menu_date = %s AND mess_name = %s AND meal = %s FOR UPDATE",
            [*key.values()],
        ).value()
        for name, price in items.items():
            cursor.insert(
                "non_veg_menu_items", {"main_id": main, "item_name": name, "price": price}
            )
        return main


def dated_entries(mess: str) -> list[Row]:
    """Return the dated items of a mess, from today on."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT * FROM temporary_menu WHERE mess_name = %s AND menu_date >= %s"
            " ORDER BY menu_date, id",
            [mess, today()],
        ).all()


def non_veg_entries(mess: str) -> list[Row]:
    """Return the non-vegetarian extras of a mess, from today on."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT i.id, m.menu_date, m.meal, i.item_name, i.price FROM non_veg_menu_main m"
            " JOIN non_veg_menu_items i ON i.main_id = m.id"
            " WHERE m.mess_name = %s AND m.menu_date >= %s ORDER BY m.menu_date, i.id",
            [mess, today()],
        ).all()


def remove_dated(mess: str, entry: int) -> bool:
    """Remove a dated item of a mess; return whether there was one."""
    with services().database.get_db_cursor() as (cursor, _connection):
        wanted = "DELETE FROM temporary_menu WHERE id = %s AND mess_name = %s"
        return cursor.execute(wanted, [entry, mess]).count > 0


def remove_non_veg(mess: str, item: int) -> bool:
    """Remove a non-vegetarian extra of a mess; return whether there was one."""
    with services().database.get_db_cursor() as (cursor, _connection):
        return (
            cursor.execute(
                "DELETE FROM non_veg_menu_items WHERE id = %s AND main_id IN"
                " (SELECT id FROM non_veg_menu_main WHERE mess_name = %s)",
                [item, mess],
            ).count
            > 0
        )
