"""Stored notifications, and the format in which they are pushed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.dates import to_wire
from apps.expireeye.models import Notification, User
from apps.expireeye.problems import not_found

STORED_TYPE = "warning"
WIRE_TYPES = {STORED_TYPE: "product_expiration"}
"""The ``type`` of a stored notification, and the one of the pushed message."""


def pushed_message(notice: Notification) -> dict[str, Any]:
    """Return the message for a socket, which has exactly these six keys."""
    return {
        "id": notice.id,
        "type": WIRE_TYPES[notice.type],
        "message": notice.message,
        "productName": notice.product_name,
        "expiryDate": to_wire(notice.expiry_date),
        "timestamp": to_wire(notice.created_at),
    }


async def list_notices(
    session: AsyncSession, user: User, *, unread: bool = False, after_id: int = 0, limit: int = 100
) -> Sequence[Notification]:
    """Return a user's notifications: newest first, or in the order of ids after ``after_id``."""
    wanted = select(Notification).where(Notification.user_id == user.id)
    if unread:
        wanted = wanted.where(Notification.read.is_(False))
    order = Notification.id.asc() if after_id else Notification.id.desc()
    rows = await session.scalars(
        wanted.where(Notification.id > after_id).order_by(order).limit(limit)
    )
    return rows.all()


async def count_unread(session: AsyncSession, user_id: int) -> int:
    """Return the number of unread notifications of a user."""
    wanted = select(func.count()).where(
        Notification.user_id == user_id, Notification.read.is_(False)
    )
    return await session.scalar(wanted) or 0


async def mark_read(session: AsyncSession, user_id: int, notice_id: int) -> None:
    """Mark a notification as read.

    Raises:
        Problem: 404, it does not exist or belongs to another user.
    """
    mine = (Notification.id == notice_id) & (Notification.user_id == user_id)
    if await session.scalar(select(Notification.id).where(mine)) is None:
        raise not_found("notification")
    await session.execute(update(Notification).where(mine).values(read=True))


async def mark_all_read(session: AsyncSession, user: User) -> None:
    """Mark all notifications of a user as read."""
    mine = (Notification.user_id == user.id) & Notification.read.is_(False)
    await session.execute(update(Notification).where(mine).values(read=True))


async def mark_pushed(session: AsyncSession, ids: Sequence[int], now: datetime) -> None:
    """Record that notifications have reached a socket."""
    new = Notification.id.in_(ids) & Notification.first_pushed_at.is_(None)
    await session.execute(update(Notification).where(new).values(first_pushed_at=now))
