"""Password hashes of all applications: Argon2id with the parameters of RFC 9106.

Hashing is slow on purpose, so `in_background` does it in threads of its own. Never do it while a
transaction is open: on SQLite all other writers would wait, and elsewhere a connection would be
missing.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

_P = ParamSpec("_P")
_T = TypeVar("_T")
_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="passwords")


async def in_background(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call `hash_password` or `verify_password` in a thread, one for each CPU."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, functools.partial(function, *args, **kwargs))


def hash_password(password: str) -> str:
    """Return the hash to store."""
    return _hasher.hash(password)


def verify_password(password: str, stored: str) -> bool:
    """Return whether a password matches a stored hash; as slow as `hash_password`."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


DUMMY_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$"
    "CKRr+j2Vu+nU04ztbTeIuhOFzYqZE6/eNvW6ayzoJNI"
)
"""The hash to verify against for an unknown address, so that the response takes equally long."""
