"""Forms that other sites cannot send, and the cookie of a session."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from apps.web.policy import CSRF_FIELD, LOOPBACK

CSRF_HEADER = "x-csrf-token"


async def sent_token(request: Request) -> str:
    """Return the CSRF token of a form, or of a script's header; empty: there is none."""
    token = request.headers.get(CSRF_HEADER)
    return str((await request.form()).get(CSRF_FIELD, "")) if token is None else token


def is_same_origin(request: Request) -> bool:
    """Return whether the browser states that a page of this site sent the request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site is not None
    return urlsplit(origin).netloc == request.headers.get("host")


def set_session_cookie(
    response: Response, request: Request, *, name: str, value: str, lifetime: timedelta
) -> None:
    """Set the session cookie of a response, for the path where the application is mounted."""
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        path=request.scope.get("root_path") or "/",
        secure=request.url.hostname not in LOOPBACK,
        httponly=True,
        samesite="lax",
    )
