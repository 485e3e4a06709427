"""User accounts: registration and authentication."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.expireeye.dates import is_time_zone
from apps.expireeye.models import Role, User
from apps.expireeye.passwords import DUMMY_HASH, hash_password, verify_password
from apps.expireeye.problems import Problem

MIN_PASSWORD = 8
MAX_PASSWORD = 200
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


async def register(
    session: AsyncSession,
    now: datetime,
    *,
    email: str,
    password: str,
    time_zone: str = "UTC",
    role: Role = "member",
) -> User:
    """Create an account in the caller's transaction.

    Raises:
        Problem: 422, the address, password or zone is not valid; 409, the address is taken.
    """
    email = email.strip().lower()
    if len(email) > 254 or not _EMAIL.fullmatch(email) or not email.isprintable():
        raise Problem(422, "bad_email", "This is not a valid e-mail address.", "email")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        message = f"A password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters."
        raise Problem(422, "bad_password", message, "password")
    if not is_time_zone(time_zone):
        raise Problem(422, "unknown_zone", "This time zone does not exist.", "timeZone")
    taken = Problem(409, "email_taken", "An account with this address already exists.", "email")
    if await session.scalar(select(User.id).where(User.email == email)):
        raise taken
    user = User(
        email=email,
        password_hash=await asyncio.to_thread(hash_password, password),
        time_zone=time_zone,
        role=role,
        created_at=now,
    )
    session.add(user)
    try:
        await session.flush()
    except IntegrityError:
        raise taken from None
    return user


async def authenticate(session: AsyncSession, email: str, password: str) -> User | None:
    """Return the user with this address and password; unknown addresses take equally long."""
    user = await session.scalar(select(User).where(User.email == email.strip().lower()))
    stored = user.password_hash if user else DUMMY_HASH
    right = await asyncio.to_thread(verify_password, password[: MAX_PASSWORD + 1], stored)
    return user if right else None


async def make_operator(session: AsyncSession, email: str) -> bool:
    """Make a user an operator; return whether there is a user with this address."""
    user = await session.scalar(select(User).where(User.email == email.strip().lower()))
    if user is not None:
        user.role = "operator"
    return user is not None
