"""Cookies: HttpOnly, SameSite=Lax, and Secure unless the host is loopback."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import Response


def set_cookie(response: Response, request: Request, name: str, value: str) -> None:
    """Set a session cookie for the path under which this application is mounted."""
    response.set_cookie(
        name,
        value,
        path=request.scope.get("root_path") or "/",
        httponly=True,
        samesite="lax",
        secure=not on_loopback(request.url.hostname or ""),
    )


def on_loopback(host: str) -> bool:
    """Return whether a host name refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
