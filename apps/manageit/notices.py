"""Notices for admins: always stored, and mailed as well if a mail server is configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any, Literal

from apps.mail import Mail
from apps.manageit.database import Cursor, Row
from apps.manageit.services import services, today
from duly.integrations.flask import get_scheduler

EmailStatus = Literal["none", "pending", "sent", "failed"]
_EXCERPTS = 3
_EXCERPT_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Message:
    """A notice that is to be stored.

    Attributes:
        text: what it says.
        kind: what it is about.
        key: identifies it, so that it is stored once.
        meal: the meal that it is about, if any.
        feedback: the ids of the feedback that it tells of.
    """

    text: str
    kind: str
    key: str
    meal: str | None = None
    feedback: Sequence[int] = ()


def critical_feedback(meal: str) -> list[Message]:
    """Return a message for each mess with critical feedback of a meal today, not told before."""
    day = today()
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        rows = cursor.execute(
            "SELECT id, mess, rating, comment FROM feedback"
            " WHERE meal = %s AND feedback_date = %s AND rating <= %s AND notified_at IS NULL"
            " ORDER BY mess, rating, id",
            [meal, day, services().settings.critical_rating],
        ).all()
    by_mess: dict[str, list[Row]] = {}
    for row in rows:
        by_mess.setdefault(row["mess"], []).append(row)
    return [_about(mess, meal, day, found) for mess, found in by_mess.items()]


def _about(mess: str, meal: str, day: date, found: list[Row]) -> Message:
    comments = [row["comment"].strip() for row in found if row["comment"].strip()]
    lines = [f"{mess}, {meal} of {day:%d %B %Y}: {len(found)} critical ratings."]
    lines += [f"“{comment[:_EXCERPT_LENGTH]}”" for comment in comments[:_EXCERPTS]]
    ids = [row["id"] for row in found]
    return Message(
        "\n".join(lines), "critical_feedback", f"{day} {meal} {mess} {max(ids)}", meal, ids
    )


def send_notification(message: Message) -> bool:
    """Store a notice for the admins and enqueue its mail, together; return whether it was new."""
    now, mails = services().clock.now(), services().mailer is not None
    with services().database.get_db_cursor() as (cursor, connection):
        notice_id = cursor.insert_new(
            "notifications",
            {
                "audience": "admin", "message": message.text, "kind": message.kind,
                "meal": message.meal, "dedupe_key": message.key, "created_at": now,
                "email_status": "pending" if mails else "none",
            },
        )  # fmt: skip
        if notice_id is None:
            return False
        for feedback_id in message.feedback:
            cursor.execute("UPDATE feedback SET notified_at = %s WHERE id = %s", [now, feedback_id])
        if mails:
            enqueue_mail("mail_notice", {"notice_id": notice_id}, connection)
    return True


def enqueue_mail(task: str, args: dict[str, Any], connection: Any) -> None:
    """Enqueue a mail as a part of the transaction of a driver's connection."""
    get_scheduler().enqueue(task, args=args, session=connection)


def find(notice_id: int) -> Row | None:
    """Return a notice."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute("SELECT * FROM notifications WHERE id = %s", [notice_id]).one()


def set_email_status(notice_id: int, status: EmailStatus) -> None:
    """Note what became of a notice's mail."""
    with services().database.get_db_cursor() as (cursor, _connection):
        cursor.execute(
            "UPDATE notifications SET email_status = %s WHERE id = %s", [status, notice_id]
        )


def recent(*, unread: bool = False, limit: int = 100) -> list[Row]:
    """Return notices, newest first."""
    condition = " AND read_at IS NULL" if unread else ""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT * FROM notifications WHERE audience = 'admin'"  # noqa: S608
            f"{condition} ORDER BY id DESC LIMIT {limit}"
        ).all()


def mark_read(notice_id: int) -> bool:
    """Note that an admin has read a notice; return whether it exists."""
    with services().database.get_db_cursor() as (cursor, _connection):
        known = cursor.execute("SELECT id FROM notifications WHERE id = %s", [notice_id]).one()
        cursor.execute(
            "UPDATE notifications SET read_at = %s WHERE id = %s AND read_at IS NULL",
            [services().clock.now(), notice_id],
        )
    return known is not None


def addresses(cursor: Cursor, role: str, mess: str | None = None) -> list[str]:
    """Return the addresses of all users of a role, and of a mess if one is given."""
    wanted, values = "SELECT email FROM users WHERE role = %s", [role]
    if mess is not None:
        wanted, values = f"{wanted} AND mess_name = %s", [role, mess]
    return cursor.execute(f"{wanted} ORDER BY email", values).values()


def mail_of(to: str, text: str) -> Mail:
    """Return a mail whose subject is the first line of a text."""
    subject, _, body = text.partition("\n")
    return Mail(to, subject, text, f"<p>{escape(subject)}</p><pre>{escape(body)}</pre>")
