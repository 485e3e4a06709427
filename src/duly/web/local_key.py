"""Access with a single generated key, for demos on the developer's own machine."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sys

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from duly.errors import ConfigurationError
from duly.model.key import Role
from duly.serving import requests_are_answered
from duly.web.access import Principal, bearer_token
from duly.web.cookies import set_cookie
from duly.web.paths import address

MIN_KEY_LENGTH = 16


class LocalKey:
    """An access callable that admits every request with the right key; see `local_key`.

    Attributes:
        key: the key, to be given once as ``<mount>/?key=…`` in a browser, or as a bearer token.
    """

    def __init__(self, key: str, principal: Principal) -> None:
        self.key = key
        self._principal = principal
        # Cookies are not separated by port, so two demos on one machine need different names.
        self._cookie = f"duly_key_{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    async def __call__(self, request: Request) -> Principal | None:
        """Return the principal if the request has the key, in a cookie or as a bearer token."""
        token = bearer_token(request)
        given = request.cookies.get(self._cookie) if token is None else token
        return self._principal if self._is_key(given) else None

    def sign_in(self, request: Request) -> Response | None:
        """Respond to ``?key=…`` with the cookie and a redirect to the address without the key."""
        if request.method != "GET" or not self._is_key(request.query_params.get("key")):
            return None
        query = request.url.remove_query_params("key").query
        response = RedirectResponse(address(request.scope) + (f"?{query}" if query else ""), 303)
        set_cookie(response, request, self._cookie, self.key)
        return response

    def _is_key(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self.key.encode())


def local_key(*, key: str | None = None, name: str = "local", role: Role = "admin") -> LocalKey:
    """Return an access callable for demos that admits every request with a key.

    Each process generates a key of its own; if there are several, give them the same ``key``.

    Args:
        key: at least 16 characters; default: a random key, which is printed to standard error,
            except by commands that serve no dashboard, such as ``duly worker``.
        name: the name of the principal, as recorded in the audit trail.
        role: the role of the principal.

    Raises:
        ConfigurationError: the key is shorter than 16 characters.
    """
    if key is None:
        key = secrets.token_urlsafe(32)
        if requests_are_answered():
            sys.stderr.write(
                f"Duly: append ?key={key} to the address of the dashboard to sign in\n"
            )
    if len(key) < MIN_KEY_LENGTH:
        raise ConfigurationError(
            f"key= is too short; it must have at least {MIN_KEY_LENGTH} characters"
        )
    return LocalKey(key, Principal(name, role))
