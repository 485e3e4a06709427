"""Signed, expiring tokens: of the API, of page sessions and of their forms."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from uuid import UUID

import jwt

from duly import Clock

Purpose = Literal["access", "session", "csrf"]
ACCESS = timedelta(hours=1)
SESSION = timedelta(hours=12)


class Tokens:
    """Issues and verifies JSON Web Tokens. One for one purpose is not valid for another.

    Args:
        secret: the signing key, the same in every process.
        clock: the clock that decides when tokens expire.
    """

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, purpose: Purpose, user_id: UUID, lifetime: timedelta) -> str:
        """Return a token that names a user."""
        expires = int((self._clock.now() + lifetime).timestamp())
        claims = {"sub": str(user_id), "aud": purpose, "exp": expires}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, purpose: Purpose, token: str) -> UUID | None:
        """Return the user that a token names, or ``None`` if it is not valid for this purpose."""
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=["HS256"], audience=purpose,
                options={"require": ["sub", "aud", "exp"], "verify_exp": False},
            )  # fmt: skip
            fresh = claims["exp"] > self._clock.now().timestamp()
            return UUID(claims["sub"]) if fresh else None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return None
