"""Notices: in the inbox of a user, or by e-mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.models import Notice, User
from apps.alerts.settings import Settings
from apps.mail import Mail, SmtpMailer
from duly import Fail
from duly.notify import Smtp


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a notice; ``key`` makes its delivery idempotent."""

    key: str
    title: str
    body: str


async def put_in_inbox(
    session: AsyncSession, recipient: str, letter: Letter, now: datetime
) -> bool:
    """Store a notice for a user, once for each key; return whether a user has this address."""
    user = await session.scalar(select(User).where(User.email == recipient, User.is_active))
    if user is None:
        return False
    known = select(Notice.id).where(Notice.user_id == user.id, Notice.key == letter.key)
    if await session.scalar(known) is None:
        session.add(
            Notice(
                user_id=user.id,
                key=letter.key,
                title=letter.title,
                body=letter.body,
                created_at=now,
            )
        )
    return True


def send_mail(settings: Settings, recipient: str, letter: Letter) -> None:
    """Send an e-mail; a repetition has the same ``Message-ID``.

    Raises:
        Fail: no mail server is configured.
        NotDelivered: the server did not accept it.
    """
    if not settings.smtp_host:
        raise Fail(f"no user has the address {recipient}, and SMTP_HOST is not set")
    server = Smtp(settings.smtp_host, settings.smtp_sender, settings.smtp_port, "none")
    mail = Mail(recipient, letter.title, letter.body)
    SmtpMailer(server).send(mail, f"{letter.key} {recipient}")
