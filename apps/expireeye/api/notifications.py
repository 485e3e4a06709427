"""The REST API of the caller's notifications."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from apps.expireeye import notices
from apps.expireeye.api.access import Member, ServicesDep
from apps.expireeye.api.schemas import show_notice

router = APIRouter(prefix="/notifications", tags=["notifications"])

MAX_ID = 2**31 - 1


@router.get("")
async def list_notifications(
    user: Member,
    services: ServicesDep,
    unread: bool = False,
    after_id: Annotated[int, Query(alias="afterId", ge=0, le=MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """List notifications: newest first, or with ``afterId`` those after it, in order."""
    async with services.database.session() as session:
        found = await notices.list_notices(
            session, user, unread=unread, after_id=after_id, limit=limit
        )
        waiting = await notices.count_unread(session, user.id)
    return {"items": [show_notice(notice) for notice in found], "unread": waiting}


@router.post("/{notice_id}/read", status_code=204)
async def read_one(user: Member, notice_id: int, services: ServicesDep) -> None:
    """Mark a notification as read."""
    async with services.database.begin() as session:
        await notices.mark_read(session, user.id, min(notice_id, MAX_ID))


@router.post("/read-all", status_code=204)
async def read_all(user: Member, services: ServicesDep) -> None:
    """Mark all notifications as read."""
    async with services.database.begin() as session:
        await notices.mark_all_read(session, user)
