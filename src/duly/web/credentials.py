"""Access for small installations: tokens of programs, and passwords of a few people."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request

from duly.clock import SystemClock
from duly.errors import ConfigurationError
from duly.model.key import Role
from duly.web.access import Principal, bearer_token
from duly.web.api_keys import TokenBucket

MIN_TOKEN_LENGTH = 16
FAILURES_PER_MINUTE = 5
"""The wrong passwords of one name, after which it waits; a name is then refused unasked."""

_N, _R, _P = 2**14, 8, 1
_MAX_NAMES = 10_000


class BearerAccess:
    """An access callable that admits requests with one of some tokens; see `bearer`."""

    def __init__(self, tokens: Mapping[bytes, Principal]) -> None:
        self._tokens = tokens

    async def __call__(self, request: Request) -> Principal | None:
        """Return the principal of the request's token, comparing all of them."""
        given, found = _digest(bearer_token(request) or ""), None
        for digest, principal in self._tokens.items():
            if hmac.compare_digest(digest, given):
                found = principal
        return found


def bearer(
    tokens: str | Mapping[str, Principal], *, name: str = "program", role: Role = "viewer"
) -> BearerAccess:
    """Return an access callable for programs that send ``Authorization: Bearer <token>``.

    Keys that are created by ``scheduler.create_key`` need no such callable, and can be revoked.

    Args:
        tokens: a token, or the `Principal` of each; at least 16 characters each.
        name: the name of the principal of a single token.
        role: its role.

    Raises:
        ConfigurationError: there is no token, or one is too short.
    """
    given = {tokens: Principal(name, role)} if isinstance(tokens, str) else dict(tokens)
    if not given or any(len(token) < MIN_TOKEN_LENGTH for token in given):
        raise ConfigurationError(
            f"bearer() needs tokens of at least {MIN_TOKEN_LENGTH} characters, such as those of "
            "secrets.token_urlsafe(32)"
        )
    return BearerAccess({_digest(token): principal for token, principal in given.items()})


class BasicAccess:
    """An access callable that admits people with a name and a password; see `basic`.

    Attributes:
        challenge: the scheme that a refused browser is asked for.
    """

    def __init__(self, users: Mapping[str, tuple[str, Principal]]) -> None:
        self.challenge = 'Basic realm="Duly", charset="UTF-8"'
        self._users = users
        self._nobody = hash_password(secrets.token_urlsafe(16))
        self._secret = secrets.token_bytes(32)
        self._proofs: dict[str, bytes] = {}
        self._failures: dict[str, TokenBucket] = {}
        self._clock = SystemClock()

    def __call__(self, request: Request) -> Principal | None:
        """Return the principal of the request's name and password; it runs in a thread."""
        given = _basic_of(request)
        if given is None:
            return None
        name, password = given
        # A password that was right is recognized without the slow hash, which each request needs.
        proof = hmac.digest(self._secret, f"{name}\0{password}".encode(), "sha256")
        hashed, principal = self._users.get(name, (self._nobody, None))
        if hmac.compare_digest(self._proofs.get(name, b""), proof):
            return principal
        self._refuse_guesses(name)
        if not password_matches(password, hashed) or principal is None:
            return None
        self._failures.pop(name, None)
        self._proofs[name] = proof
        return principal

    def _refuse_guesses(self, name: str) -> None:
        """Count a guess.

        Raises:
            HTTPException: 429, there were too many for this name.
        """
        now = self._clock.monotonic()
        if len(self._failures) >= _MAX_NAMES:
            self._failures.clear()
        bucket = self._failures.setdefault(name, TokenBucket(FAILURES_PER_MINUTE, now))
        wait = bucket.take(FAILURES_PER_MINUTE, now)
        if wait:
            raise HTTPException(
                429,
                f"Too many wrong passwords for this name; try again in {math.ceil(wait)} s.",
                {"Retry-After": str(math.ceil(wait))},
            )


def basic(users: Mapping[str, tuple[str, Principal]]) -> BasicAccess:
    """Return an access callable for a few people, whom their browsers ask for a password.

    Use it behind HTTPS only: the password is in every request. Five wrong passwords of a name in a
    minute make it wait, in each web process.

    Args:
        users: for each name, the hash of its password (see `hash_password`) and its `Principal`.

    Raises:
        ConfigurationError: a hash is not one of `hash_password`.
    """
    for name, (hashed, _principal) in users.items():
        if _parts(hashed) is None:
            raise ConfigurationError(
                f"the password of {name!r} is not a hash; give hash_password('…'), not the password"
            )
    return BasicAccess(dict(users))


def hash_password(password: str) -> str:
    """Return a salted hash of a password by scrypt, to be kept in a setting of the host."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def password_matches(password: str, hashed: str) -> bool:
    """Return whether a password is the one of a hash, in constant time."""
    parts = _parts(hashed)
    return parts is not None and hmac.compare_digest(_scrypt(password, parts[0]), parts[1])


def _parts(hashed: str) -> tuple[bytes, bytes] | None:
    try:
        scheme, salt, digest = hashed.split("$")
        return (bytes.fromhex(salt), bytes.fromhex(digest)) if scheme == "scrypt" else None
    except ValueError:
        return None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(errors="replace"), salt=salt, n=_N, r=_R, p=_P)


def _basic_of(request: Request) -> tuple[str, str] | None:
    """Return the name and the password of a request, if it has them."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, separator, password = text.partition(":")
    return (name, password) if separator else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
