"""Notices: in the inbox of a user, or by e-mail."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.models import Notice, User
from apps.alerts.settings import Settings
from duly import Fail

_TIMEOUT_S = 20


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
        OSError: the server does not respond.
    """
    if not settings.smtp_host:
        raise Fail(f"no user has the address {recipient}, and SMTP_HOST is not set")
    message = EmailMessage()
    message["Subject"] = " ".join(letter.title.split())
    message["From"] = settings.smtp_sender
    message["To"] = recipient
    message["Message-ID"] = f"<{uuid5(NAMESPACE_URL, f'{letter.key} {recipient}')}@alerts>"
    message.set_content(letter.body)
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_S) as server:
        server.send_message(message)
