"""The outbox: a row for each mail and recipient, so that one address stops no other."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any, Literal

from apps.mail import Mail
from apps.manageit.database import Cursor, Row
from apps.manageit.services import services
from duly.integrations.flask import get_scheduler

Status = Literal["pending", "sent", "failed"]
About = Literal["notifications", "daily_reports"]
"""The table of what a mail is about."""


def enqueue(
    cursor: Cursor, connection: Any, about: About, about_id: int, *, to: Iterable[str], text: str
) -> int:
    """Store a mail for each address and enqueue its delivery, in the transaction of a connection.

    Returns:
        The number of mails.
    """
    now, count = services().clock.now(), 0
    for address in to:
        mail_id = cursor.insert(
            "mails",
            {
                "about": about, "about_id": about_id, "address": address, "body": text,
                "created_at": now,
            },
        )  # fmt: skip
        get_scheduler().enqueue("send_mail", args={"mail_id": mail_id}, session=connection)
        count += 1
    return count


def addresses(cursor: Cursor, role: str, mess: str | None = None) -> list[str]:
    """Return the addresses of all users of a role, and of a mess if one is given."""
    wanted, values = "SELECT email FROM users WHERE role = %s", [role]
    if mess is not None:
        wanted, values = f"{wanted} AND mess_name = %s", [role, mess]
    return cursor.execute(f"{wanted} ORDER BY email", values).values()


def find(mail_id: int) -> Row | None:
    """Return a mail."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute("SELECT * FROM mails WHERE id = %s", [mail_id]).one()


def content(mail: Row) -> Mail:
    """Return a mail as it is sent; its subject is the first line of its text."""
    subject, _, body = mail["body"].partition("\n")
    html = f"<p>{escape(subject)}</p><pre>{escape(body)}</pre>"
    return Mail(mail["address"], subject, mail["body"], html)


def note(mail: Row, status: Status) -> None:
    """Note what became of a mail, and bring what it is about up to date."""
    about, about_id = mail["about"], mail["about_id"]
    with services().database.get_db_cursor() as (cursor, _connection):
        lock = f"SELECT id FROM {about} WHERE id = %s FOR UPDATE"  # noqa: S608 - names of code
        cursor.execute(lock, [about_id]).all()
        cursor.execute("UPDATE mails SET status = %s WHERE id = %s", [status, mail["id"]])
        found = cursor.execute(
            "SELECT status FROM mails WHERE about = %s AND about_id = %s", [about, about_id]
        ).values()
        worst = min(found, key=("failed", "pending", "sent").index)
        if about == "notifications":
            cursor.execute(
                "UPDATE notifications SET email_status = %s WHERE id = %s", [worst, about_id]
            )
        elif worst == "sent":
            cursor.execute(
                "UPDATE daily_reports SET sent_at = %s WHERE id = %s",
                [services().clock.now(), about_id],
            )
