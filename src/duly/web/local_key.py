"""Access by one generated key: for demos on one's own machine."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sys

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from duly.errors import ConfigurationError
from duly.web.access import Principal, Role
from duly.web.cookies import set_cookie
from duly.web.paths import address

SHORTEST_KEY = 16


class LocalKey:
    """Admits whoever knows the key. Made by `local_key`.

    Attributes:
        key: what opens the door: ``<mount>/?key=…`` in a browser, or as a bearer token.
    """

    def __init__(self, key: str, principal: Principal) -> None:
        self.key = key
        self._principal = principal
        # Cookies do not tell ports apart: two demos on one machine need two names.
        self._cookie = f"duly_key_{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    async def __call__(self, request: Request) -> Principal | None:
        """The principal when the request shows the key, by cookie or as a bearer token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        shown = token if scheme.lower() == "bearer" else request.cookies.get(self._cookie)
        return self._principal if self._is_key(shown) else None

    def sign_in(self, request: Request) -> Response | None:
        """For ``?key=…`` with the right key: set the cookie and lead to the address without it."""
        if request.method != "GET" or not self._is_key(request.query_params.get("key")):
            return None
        query = request.url.remove_query_params("key").query
        answer = RedirectResponse(address(request.scope) + (f"?{query}" if query else ""), 303)
        set_cookie(answer, request, self._cookie, self.key)
        return answer

    def _is_key(self, shown: str | None) -> bool:
        return shown is not None and hmac.compare_digest(shown.encode(), self.key.encode())


def local_key(*, key: str | None = None, name: str = "local", role: Role = "admin") -> LocalKey:
    """An access callable for demos: one key, generated and printed once to standard error.

    Several processes each generate their own; give them the same ``key``.

    Args:
        key: default: a random one, which is printed.
        name: who its owner is in the audit trail.
        role: what its owner may do.

    Raises:
        ConfigurationError: the key is shorter than 16 characters.
    """
    if key is None:
        key = secrets.token_urlsafe(32)
        sys.stderr.write(f"Duly: open the dashboard once with ?key={key}\n")
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(f"key= is too short; give at least {SHORTEST_KEY} characters")
    return LocalKey(key, Principal(name, role))
