"""Unsafe requests by cookie come from our own pages: a token and the origin show it."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from duly.web.access import has_bearer
from duly.web.cookies import set_cookie

COOKIE = "duly_csrf"
FIELD = "csrf_token"
HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(request: Request) -> str:
    """The token of this browser, for its forms; a new one when it has none."""
    held: str | None = getattr(request.state, COOKIE, None)
    if held is None:
        held = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
        setattr(request.state, COOKIE, held)
    return held


def keep_token(answer: Response, request: Request) -> None:
    """Set the cookie that the token is compared with, where the browser has none."""
    if request.cookies.get(COOKIE) is None:
        set_cookie(answer, request, COOKIE, token_of(request))


def refuse_cross_site(request: Request, token: str | None) -> None:
    """Refuse an unsafe request that another site may have made the browser send.

    A request with a bearer token is exempt: no browser adds one by itself.

    Args:
        request: the request.
        token: what the form's field or the header ``X-CSRF-Token`` says.

    Raises:
        HTTPException: 403.
    """
    if request.method in SAFE or has_bearer(request):
        return
    if not _same_origin(request):
        raise HTTPException(403, "This request came from another site, so nothing was done.")
    held = request.cookies.get(COOKIE)
    if not held or not token or not hmac.compare_digest(held.encode(), token.encode()):
        raise HTTPException(
            403, "The form's token does not fit this browser. Reload the page and try again."
        )


def _same_origin(request: Request) -> bool:
    """What the browser says about where the request came from; silence is no."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return False
    # Behind a proxy the scheme that we see may differ from the browser's: compare the hosts.
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
