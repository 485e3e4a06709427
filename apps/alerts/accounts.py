"""User accounts: sign-in, and what users may do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.models import Membership, Role, User
from apps.alerts.services import Services
from apps.passwords import DUMMY_HASH, hash_password, in_background, verify_password
from apps.rate_limits import Limit, RateLimited, address_key

FAILED_LOGINS = Limit("failed logins", 10, timedelta(minutes=15))


async def add_user(
    services: Services, email: str, password: str, role: Role, clients: Sequence[UUID] = ()
) -> User:
    """Create an account; the password is hashed before the transaction begins."""
    hashed = await in_background(hash_password, password)
    user = User(
        email=email.strip().lower(), password_hash=hashed, role=role,
        created_at=services.clock.now(),
    )  # fmt: skip
    async with services.database.begin() as session:
        session.add(user)
        await session.flush()
        session.add_all(Membership(user_id=user.id, client_id=client) for client in clients)
    return user


async def sign_in(services: Services, address: str, email: str, password: str) -> User:
    """Return the user with this address and password; never the system user.

    An attempt counts from before it is tried, and one that succeeds is given back.

    Args:
        services: the services of the application.
        address: the network address of the sender.
        email: the address of the account.
        password: the password to verify.

    Raises:
        HTTPException: 401, address or password is wrong; 429, the sender has reached the limit.
    """
    try:
        attempt = await services.limiter.take(FAILED_LOGINS, address_key(address))
    except RateLimited as limited:
        headers = {"Retry-After": str(limited.retry_after)}
        raise HTTPException(429, "Too many attempts; try again later.", headers) from None
    async with services.database.session() as session:
        user = await session.scalar(select(User).where(User.email == email.strip().lower()))
    stored = user.password_hash if user else DUMMY_HASH
    right = await in_background(verify_password, password, stored)
    if user is None or not right or not may_sign_in(user):
        raise HTTPException(401, "Address or password is wrong.")
    await services.limiter.give_back(attempt)
    return user


def may_sign_in(user: User) -> bool:
    """Return whether a user may use the API and the pages; the system user may not."""
    return user.is_active and user.role != "system"


async def may_trigger(session: AsyncSession, user_id: UUID, client_id: UUID) -> bool:
    """Return whether a user may trigger the alerts of a client: its members, and the system."""
    user = await session.get(User, user_id)
    if user is None or not user.is_active:
        return False
    return user.role == "system" or await session.get(Membership, (user_id, client_id)) is not None
