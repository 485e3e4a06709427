"""Notices for admins: always stored, and mailed as well if a mail server is configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from apps.manageit import mailing
from apps.manageit.database import Row
from apps.manageit.services import services

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


def critical_feedback(meal: str, day: date) -> list[Message]:
    """Return a message for each mess with critical feedback of a meal, not told before."""
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
    # In one line each, so that no comment looks like another notice.
    comments = [text for row in found if (text := " ".join(row["comment"].split()))]
    ratings = "1 critical rating" if len(found) == 1 else f"{len(found)} critical ratings"
    lines = [f"{mess}, {meal} of {day:%d %B %Y}: {ratings}."]
    lines += [f"“{comment[:_EXCERPT_LENGTH]}”" for comment in comments[:_EXCERPTS]]
    ids = [row["id"] for row in found]
    return Message(
        "\n".join(lines), "critical_feedback", f"{day} {meal} {mess} {max(ids)}", meal, ids
    )


class ToldMeanwhile(Exception):
    """Another run has told of some of the same feedback."""


def send_notification(message: Message) -> bool:
    """Store a notice for the admins and enqueue its mails, together; return whether it was new.

    Raises:
        ToldMeanwhile: another run has told of some of its feedback since it was read.
    """
    now, mails = services().clock.now(), services().mailer is not None
    with services().database.get_db_cursor() as (cursor, connection):
        notice_id = cursor.insert_new(
            "notifications",
            {
                "audience": "admin", "message": message.text, "kind": message.kind,
                "meal": message.meal, "dedupe_key": message.key, "created_at": now,
            },
        )  # fmt: skip
        if notice_id is None:
            return False
        for feedback_id in message.feedback:
            told = "UPDATE feedback SET notified_at = %s WHERE id = %s AND notified_at IS NULL"
            if not cursor.execute(told, [now, feedback_id]).count:
                raise ToldMeanwhile(f"feedback {feedback_id} was told of meanwhile")
        to = mailing.addresses(cursor, "admin") if mails else []
        if mailing.enqueue(
            cursor, connection, "notifications", notice_id, to=to, text=message.text
        ):
            cursor.execute(
                "UPDATE notifications SET email_status = 'pending' WHERE id = %s", [notice_id]
            )
    return True


def recent(*, unread: bool = False, limit: int = 100) -> list[Row]:
    """Return notices, newest first."""
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        return cursor.execute(
            "SELECT * FROM notifications WHERE audience = 'admin' AND (%s = 0 OR read_at IS NULL)"
            " ORDER BY id DESC LIMIT %s",
            [int(unread), limit],
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
