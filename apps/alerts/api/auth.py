"""The REST API of sign-in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from apps.alerts import accounts
from apps.alerts.api.access import ServicesDep, address_of
from apps.alerts.tokens import ACCESS

router = APIRouter(prefix="/api/v1/auth", tags=["accounts"])


class Credentials(BaseModel):
    """An e-mail address and a password."""

    email: str = Field(max_length=254)
    password: str = Field(max_length=200)


@router.post("/login")
async def log_in(request: Request, body: Credentials, services: ServicesDep) -> dict[str, Any]:
    """Exchange an e-mail address and a password for a bearer token."""
    user = await accounts.sign_in(services, address_of(request), body.email, body.password)
    token = services.tokens.issue("access", user.id, ACCESS)
    return {
        "access_token": token, "token_type": "bearer",
        "expires_in": int(ACCESS.total_seconds()),
    }  # fmt: skip
