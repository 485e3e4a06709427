"""Sign-ins that the server can end, and socket tickets that are used once.

A token or cookie only names its row here, and is refused without it. Each change is one
conditional statement, so that it holds across processes.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.models import SignIn, SocketTicket, User

RENEW_AFTER = timedelta(minutes=10)


async def begin(session: AsyncSession, user: User, now: datetime, lifetime: timedelta) -> SignIn:
    """Store a new sign-in of a user, and delete the user's expired ones."""
    await session.execute(delete(SignIn).where(SignIn.user_id == user.id, SignIn.expires_at <= now))
    sign_in = SignIn(
        id=secrets.token_urlsafe(24), user_id=user.id, expires_at=now + lifetime, created_at=now
    )
    session.add(sign_in)
    await session.flush()
    return sign_in


async def find(session: AsyncSession, sign_in_id: object, now: datetime) -> SignIn | None:
    """Return a sign-in with its user, unless it has ended or expired."""
    if not isinstance(sign_in_id, str):
        return None
    wanted = select(SignIn).where(SignIn.id == sign_in_id, SignIn.expires_at > now)
    found: SignIn | None = await session.scalar(wanted)
    return found


async def renew(session: AsyncSession, sign_in_id: str, expires_at: datetime) -> None:
    """Extend a sign-in; one that has ended meanwhile stays ended."""
    await session.execute(
        update(SignIn).where(SignIn.id == sign_in_id).values(expires_at=expires_at)
    )


async def end(session: AsyncSession, sign_in_id: str) -> None:
    """End a sign-in: its token or cookie, its tickets and its sockets are refused from now on."""
    await session.execute(delete(SocketTicket).where(SocketTicket.sign_in_id == sign_in_id))
    await session.execute(delete(SignIn).where(SignIn.id == sign_in_id))


async def live(session: AsyncSession, ids: Collection[str], now: datetime) -> set[str]:
    """Return which of these sign-ins have neither ended nor expired."""
    wanted = select(SignIn.id).where(SignIn.id.in_(ids), SignIn.expires_at > now)
    return set(await session.scalars(wanted))


async def issue_ticket(
    session: AsyncSession, sign_in: SignIn, now: datetime, lifetime: timedelta
) -> str:
    """Store a new ticket for a socket and return its id; delete the user's expired tickets."""
    mine = SocketTicket.user_id == sign_in.user_id
    await session.execute(delete(SocketTicket).where(mine, SocketTicket.expires_at <= now))
    ticket = SocketTicket(
        id=secrets.token_urlsafe(24),
        sign_in_id=sign_in.id,
        user_id=sign_in.user_id,
        expires_at=now + lifetime,
    )
    session.add(ticket)
    await session.flush()
    return ticket.id


async def use_ticket(session: AsyncSession, ticket_id: object, now: datetime) -> str | None:
    """Return the id of the sign-in that a ticket was issued to, to its first user only."""
    if not isinstance(ticket_id, str):
        return None
    used = await session.execute(
        delete(SocketTicket)
        .where(SocketTicket.id == ticket_id, SocketTicket.expires_at > now)
        .returning(SocketTicket.sign_in_id)
        .execution_options(synchronize_session=False)
    )
    return used.scalar()
