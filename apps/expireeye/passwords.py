"""Password hashes: scrypt with a random salt and OWASP's parameters N=2^14, r=8, p=5.

Hashing is slow on purpose, so `in_background` does it in threads of its own. Never do it while a
transaction is open: on SQLite all other writers would wait, and elsewhere a connection would be
missing.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_COST, _BLOCK, _LANES = 2**14, 8, 5
_threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="expireeye-passwords")


async def in_background(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call `hash_password` or `verify_password` in a thread, one for each CPU."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, functools.partial(function, *args, **kwargs))


def hash_password(password: str) -> str:
    """Return the hash to store, after about 0.2 s of CPU time."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _LANES)
    return f"scrypt${_COST}${_BLOCK}${_LANES}${_text(salt)}${_text(digest)}"


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
