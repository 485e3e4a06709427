"""Signed, expiring tokens: of the API, of page sessions and of their forms.

An ``access`` or ``session`` token names a sign-in, which the server can end; see `sign_ins`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from itsdangerous import BadData, URLSafeSerializer

from duly import Clock

Purpose = Literal["access", "session", "csrf"]

ACCESS = timedelta(hours=1)
SOCKET = timedelta(seconds=30)
SESSION = timedelta(hours=12)


class Tokens:
    """Issues and verifies tokens. A token for one purpose is not valid for another.

    Args:
        secret: the signing key, the same in every process.
        clock: the clock that decides when tokens expire.
    """

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, purpose: Purpose, lifetime: timedelta, **claims: Any) -> str:
        """Return a token with ``claims`` that is valid for ``lifetime``."""
        expires = (self._clock.now() + lifetime).timestamp()
        return str(self._serializer(purpose).dumps({**claims, "expires": int(expires)}))

    def read(self, purpose: Purpose, token: str) -> dict[str, Any] | None:
        """Return the claims of a token, or ``None`` if it is not valid for this purpose."""
        try:
            claims = self._serializer(purpose).loads(token)
        except BadData:
            return None
        fresh = isinstance(claims, dict) and claims["expires"] > self._clock.now().timestamp()
        return claims if fresh else None

    def _serializer(self, purpose: Purpose) -> URLSafeSerializer:
        return URLSafeSerializer(self._secret, salt=f"expireeye.{purpose}")
