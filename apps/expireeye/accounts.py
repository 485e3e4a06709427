"""User accounts: registration and authentication."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.database import Database
from apps.expireeye.models import Role, User
from apps.expireeye.problems import Problem
from apps.expireeye.services import Services
from apps.passwords import DUMMY_HASH, hash_password, in_background, verify_password
from apps.rate_limits import Limit, RateLimited, address_key
from apps.zones import is_time_zone

MIN_PASSWORD = 8
MAX_PASSWORD = 200
FAILED_LOGINS = Limit("failed logins", 10, timedelta(minutes=15))
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


async def register(
    database: Database,
    now: datetime,
    *,
    email: str,
    password: str,
    time_zone: str = "UTC",
    role: Role = "member",
) -> User:
    """Create an account.

    The password is hashed before the transaction begins.

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
    async with database.session() as session:
        if await session.scalar(select(User.id).where(User.email == email)):
            raise taken
    user = User(
        email=email,
        password_hash=await in_background(hash_password, password),
        time_zone=time_zone,
        role=role,
        created_at=now,
    )
    try:
        async with database.begin() as session:
            session.add(user)
    except IntegrityError:
        raise taken from None
    return user


async def sign_in(services: Services, address: str, email: str, password: str) -> User:
    """Return the user with this address and password.

    An attempt counts from before it is tried, so that parallel guesses are limited as well; an
    attempt that succeeds is given back.

    Args:
        services: the services of the application.
        address: the network address of the client.
        email: the address of the account.
        password: the password to verify.

    Raises:
        Problem: 401, the address or the password is wrong; 429, the client has reached the limit.
    """
    try:
        attempt = await services.limiter.take(FAILED_LOGINS, address_key(address))
    except RateLimited as limited:
        raise Problem(
            429, "too_many_attempts", "Too many attempts; try again later.",
            headers={"Retry-After": str(limited.retry_after)},
        ) from None  # fmt: skip
    user = await authenticate(services.database, email, password)
    if user is None:
        raise Problem(401, "wrong_credentials", "Address or password is wrong.")
    await services.limiter.give_back(attempt)
    return user


async def authenticate(database: Database, email: str, password: str) -> User | None:
    """Return the user with this address and password; unknown addresses take equally long."""
    async with database.session() as session:
        user = await session.scalar(select(User).where(User.email == email.strip().lower()))
    stored = user.password_hash if user else DUMMY_HASH
    right = await in_background(verify_password, password[: MAX_PASSWORD + 1], stored)
    return user if right else None


async def make_operator(session: AsyncSession, email: str) -> bool:
    """Make a user an operator; return whether there is a user with this address."""
    user = await session.scalar(select(User).where(User.email == email.strip().lower()))
    if user is not None:
        user.role = "operator"
    return user is not None
