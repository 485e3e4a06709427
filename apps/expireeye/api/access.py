"""Authentication and authorization, shared by all routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from apps.expireeye import sign_ins
from apps.expireeye.models import SignIn, User
from apps.expireeye.problems import Problem
from apps.expireeye.services import Services
from apps.expireeye.tokens import Purpose


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application."""
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]


def address_of(connection: HTTPConnection) -> str:
    """Return the network address of the client."""
    return connection.client.host if connection.client else "unknown"


async def signed_in(connection: HTTPConnection, services: ServicesDep) -> SignIn:
    """Return the sign-in of the bearer token.

    Raises:
        Problem: 401, there is no valid token, or its sign-in has ended.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        sign_in = await sign_in_of(services, "access", token.strip())
        if sign_in is not None:
            return sign_in
    raise Problem(
        401, "not_signed_in", "A valid bearer token is required.",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


async def sign_in_of(services: Services, purpose: Purpose, token: str) -> SignIn | None:
    """Return the sign-in that a token names, unless one of them is not valid any more."""
    claims = services.tokens.read(purpose, token)
    if claims is None:
        return None
    async with services.database.session() as session:
        return await sign_ins.find(session, claims.get("id"), services.clock.now())


SignedIn = Annotated[SignIn, Depends(signed_in)]


async def member(sign_in: SignedIn) -> User:
    """Return the user of the bearer token."""
    return sign_in.user


Member = Annotated[User, Depends(member)]


async def operator(user: Member) -> User:
    """Return the user of the bearer token, who must be an operator.

    Raises:
        Problem: 401, there is no valid token; 403, the user is not an operator.
    """
    if user.role != "operator":
        raise Problem(403, "forbidden", "Only operators may do this.")
    return user


Operator = Annotated[User, Depends(operator)]
