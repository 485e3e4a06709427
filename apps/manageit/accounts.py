"""Accounts: students, mess officials and admins."""

from __future__ import annotations

from typing import Literal

from apps.manageit.database import Row
from apps.manageit.services import services
from apps.passwords import hash_password

Role = Literal["student", "mess_official", "admin"]


def add(name: str, email: str, password: str, role: Role, mess: str | None = None) -> int:
    """Store an account, and return its id."""
    row = {
        "name": name, "email": email.lower(), "role": role, "mess_name": mess,
        "password_hash": hash_password(password),
    }  # fmt: skip
    with services().database.get_db_cursor() as (cursor, _connection):
        return cursor.insert("users", row)


def find(user_id: int) -> Row | None:
    """Return an account by its id."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute("SELECT * FROM users WHERE id = %s", [user_id]).one()


def find_by_email(email: str) -> Row | None:
    """Return an account by its address."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute("SELECT * FROM users WHERE email = %s", [email.strip().lower()]).one()
