"""The REST API of accounts: registration and login."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from apps.expireeye import accounts, sign_ins
from apps.expireeye.api.access import ServicesDep, SignedIn, address_of
from apps.expireeye.api.schemas import Credentials, Registration, show_user
from apps.expireeye.tokens import ACCESS

router = APIRouter(prefix="/auth", tags=["accounts"])


@router.post("/register", status_code=201)
async def open_account(body: Registration, services: ServicesDep) -> dict[str, Any]:
    """Create an account."""
    user = await accounts.register(services.database, services.clock.now(), **body.model_dump())
    return show_user(user)


@router.post("/login")
async def log_in(request: Request, body: Credentials, services: ServicesDep) -> dict[str, Any]:
    """Exchange an e-mail address and a password for a bearer token."""
    user = await accounts.sign_in(services, address_of(request), body.email, body.password)
    async with services.database.begin() as session:
        sign_in = await sign_ins.begin(session, user, services.clock.now(), ACCESS)
    token = services.tokens.issue("access", ACCESS, id=sign_in.id)
    return {"accessToken": token, "expiresIn": int(ACCESS.total_seconds())}


@router.post("/logout", status_code=204)
async def log_out(sign_in: SignedIn, services: ServicesDep) -> None:
    """End the sign-in of the bearer token, which is refused from now on."""
    async with services.database.begin() as session:
        await sign_ins.end(session, sign_in.id)
