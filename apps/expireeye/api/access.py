"""Authentication and authorization, shared by all routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from apps.expireeye.models import User
from apps.expireeye.problems import Problem
from apps.expireeye.services import Services


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application."""
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]


def address_of(connection: HTTPConnection) -> str:
    """Return the network address of the client."""
    return connection.client.host if connection.client else "unknown"


def allow(limited: bool, seconds: int) -> None:
    """Refuse a request from a client that has reached a rate limit.

    Raises:
        Problem: 429, when ``limited``.
    """
    if limited:
        raise Problem(
            429, "too_many_attempts", "Too many attempts; try again later.",
            headers={"Retry-After": str(seconds)},
        )  # fmt: skip


async def user_by_id(session: AsyncSession, claims: dict[str, object] | None) -> User | None:
    """Return the user whom a token's claims name, if any."""
    return await session.get(User, claims["user"]) if claims and claims.get("user") else None


async def signed_in(connection: HTTPConnection, services: ServicesDep) -> User:
    """Return the user of the bearer token.

    Raises:
        Problem: 401, there is no valid token.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        async with services.database.session() as session:
            user = await user_by_id(session, services.tokens.read("access", token.strip()))
        if user is not None:
            return user
    raise Problem(
        401, "not_signed_in", "A valid bearer token is required.",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


Member = Annotated[User, Depends(signed_in)]


async def operator(user: Member) -> User:
    """Return the user of the bearer token, who must be an operator.

    Raises:
        Problem: 401, there is no valid token; 403, the user is not an operator.
    """
    if user.role != "operator":
        raise Problem(403, "forbidden", "Only operators may do this.")
    return user


Operator = Annotated[User, Depends(operator)]
