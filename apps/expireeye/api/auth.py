"""The REST API of accounts: registration and login."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from apps.expireeye import accounts
from apps.expireeye.api.access import ServicesDep, address_of, allow
from apps.expireeye.api.schemas import Credentials, Registration, show_user
from apps.expireeye.problems import Problem
from apps.expireeye.services import LOGIN_WINDOW
from apps.expireeye.tokens import ACCESS

router = APIRouter(prefix="/auth", tags=["accounts"])


@router.post("/register", status_code=201)
async def open_account(body: Registration, services: ServicesDep) -> dict[str, Any]:
    """Create an account."""
    async with services.database.begin() as session:
        user = await accounts.register(session, services.clock.now(), **body.model_dump())
        return show_user(user)


@router.post("/login")
async def log_in(request: Request, body: Credentials, services: ServicesDep) -> dict[str, Any]:
    """Exchange an e-mail address and a password for a bearer token."""
    address = address_of(request)
    allow(services.failed_logins.reached(address), LOGIN_WINDOW)
    async with services.database.session() as session:
        user = await accounts.authenticate(session, body.email, body.password)
    if user is None:
        services.failed_logins.record(address)
        raise Problem(401, "wrong_credentials", "Address or password is wrong.")
    token = services.tokens.issue("access", ACCESS, user=user.id)
    return {"accessToken": token, "expiresIn": int(ACCESS.total_seconds())}
