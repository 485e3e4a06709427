"""Protection against cross-site request forgery, by a token and by the origin of requests."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from duly.web.access import bearer_token
from duly.web.cookies import set_cookie

COOKIE = "duly_csrf"
FIELD = "csrf_token"
HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(request: Request) -> str:
    """Return the token for the forms of this browser; generate one if it has none."""
    token: str | None = getattr(request.state, COOKIE, None)
    if token is None:
        token = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
        setattr(request.state, COOKIE, token)
    return token


def keep_token(response: Response, request: Request) -> None:
    """Set the cookie that the token is compared with, unless the browser has it."""
    if request.cookies.get(COOKIE) is None:
        set_cookie(response, request, COOKIE, token_of(request))


def refuse_cross_site(request: Request, token: str | None) -> None:
    """Refuse an unsafe request that another site may have caused the browser to send.

    Requests with a bearer token are exempt, because browsers never send one on their own.

    Args:
        request: the request.
        token: the value of the form's field or of the header ``X-CSRF-Token``.

    Raises:
        HTTPException: 403, the request may come from another site.
    """
    if request.method in SAFE_METHODS or bearer_token(request) is not None:
        return
    if not _same_origin(request):
        raise HTTPException(403, "This request came from another site, so it was refused.")
    expected = request.cookies.get(COOKIE)
    if not expected or not token or not hmac.compare_digest(expected.encode(), token.encode()):
        raise HTTPException(403, "The form has expired. Reload the page and try again.")


def _same_origin(request: Request) -> bool:
    """Return whether the browser states that the request comes from this site."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return False
    # Behind a proxy the scheme can differ from the one the browser used, so compare the hosts.
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
