"""Cookies: HttpOnly, SameSite=Lax, Secure off loopback."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import Response


def set_cookie(answer: Response, request: Request, name: str, value: str) -> None:
    """Set a cookie for this mount, until the browser is closed."""
    answer.set_cookie(
        name,
        value,
        path=request.scope.get("root_path") or "/",
        httponly=True,
        samesite="lax",
        secure=not on_loopback(request.url.hostname or ""),
    )


def on_loopback(host: str) -> bool:
    """Whether a host name means this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
