"""Authentication and authorization, shared by all routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from apps.alerts.accounts import may_sign_in
from apps.alerts.models import User
from apps.alerts.services import Services
from apps.alerts.tokens import Purpose


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application."""
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]


def address_of(connection: HTTPConnection) -> str:
    """Return the network address of the sender."""
    return connection.client.host if connection.client else "unknown"


async def user_of(services: Services, purpose: Purpose, token: str) -> User | None:
    """Return the user that a token names, unless one of them is not valid any more."""
    user_id = services.tokens.read(purpose, token)
    if user_id is None:
        return None
    async with services.database.session() as session:
        user = await session.get(User, user_id)
    return user if user is not None and may_sign_in(user) else None


async def signed_in(connection: HTTPConnection, services: ServicesDep) -> User:
    """Return the user of the bearer token.

    Raises:
        HTTPException: 401, there is no valid token.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    user = None
    if scheme.lower() == "bearer":
        user = await user_of(services, "access", token.strip())
    if user is None:
        raise HTTPException(
            401, "A valid bearer token is required.", {"WWW-Authenticate": "Bearer"}
        )
    return user


Member = Annotated[User, Depends(signed_in)]


async def admin(user: Member) -> User:
    """Return the user of the bearer token, who must be an admin.

    Raises:
        HTTPException: 401, there is no valid token; 403, the user is not an admin.
    """
    if user.role != "admin":
        raise HTTPException(403, "Only admins may do this.")
    return user


Admin = Annotated[User, Depends(admin)]
