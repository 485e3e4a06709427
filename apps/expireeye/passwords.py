"""Password hashes: scrypt with a random salt and OWASP's parameters N=2^14, r=8, p=5."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_N, _R, _P = 2**14, 8, 5


def hash_password(password: str) -> str:
    """Return the hash to store; this is slow on purpose (about 0.2 s), so call it in a thread."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(_scrypt(password, salt, _N, _R, _P))}"


def verify_password(password: str, stored: str) -> bool:
    """Return whether a password matches a stored hash; as slow as `hash_password`."""
    try:
        scheme, n, r, p, salt, expected = stored.split("$")
    except ValueError:
        return False
    if scheme != "scrypt":
        return False
    actual = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(actual, base64.b64decode(expected))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=2**26, dklen=32)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


DUMMY_HASH = "scrypt$16384$8$5$AAAAAAAAAAAAAAAAAAAAAA==$" + _text(bytes(32))
"""The hash to verify against for an unknown address, so that the response takes equally long."""
