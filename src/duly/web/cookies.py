"""Cookies: HttpOnly, SameSite=Lax, and Secure unless the host is loopback."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import Response


def set_cookie(
    response: Response, request: Request, name: str, value: str, *, max_age: int | None = None
) -> None:
    """Set a cookie for the path under which this application is mounted.

    Args:
        response: the response that sets it.
        request: the request.
        name: its name.
        value: its value.
        max_age: seconds for which the browser keeps it; default: until it is closed.
    """
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path=_path(request),
        httponly=True,
        samesite="lax",
        secure=not on_loopback(request.url.hostname or ""),
    )


def remove_cookie(response: Response, request: Request, name: str) -> None:
    """Let the browser forget a cookie that `set_cookie` has set."""
    response.delete_cookie(name, path=_path(request))


def _path(request: Request) -> str:
    return request.scope.get("root_path") or "/"


def on_loopback(host: str) -> bool:
    """Return whether a host name refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
