"""What the settings of all applications read from the environment: databases, lists and keys."""

from __future__ import annotations

import secrets
from ipaddress import ip_network

from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_SHORTEST = 32


def checked_database(url: str, *backends: str) -> str:
    """Return a database URL whose backend is one of these.

    Raises:
        ValueError: it is another one, or the URL is not valid.
    """
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError:
        raise ValueError("not a valid database URL") from None
    if backend not in backends:
        raise ValueError(f"{backend} is not supported; use {' or '.join(backends)}")
    return url


def parts_of(value: object) -> object:
    """Return the parts of a text that commas separate; other values are left as they are."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def networks_of(value: object) -> object:
    """Return the networks that a text lists.

    Raises:
        ValueError: one is not a network, such as ``10.0.0.0/8``.
    """
    parts = parts_of(value)
    return [str(ip_network(part)) for part in parts] if isinstance(parts, list) else parts


def checked_key(name: str, key: SecretStr, *, required: bool) -> SecretStr:
    """Return the key that signs; a random one if it is not set and not required.

    Args:
        name: the name of its variable, for the error.
        key: the value; an empty one is not set.
        required: whether it must be set.

    Raises:
        ValueError: it is shorter than 32 characters, or required and not set.
    """
    text = key.get_secret_value()
    if text and len(text) < _SHORTEST:
        raise ValueError(f"{name} must have at least {_SHORTEST} characters")
    if not text and required:
        raise ValueError(f"{name} is required in production")
    return key if text else SecretStr(secrets.token_urlsafe(_SHORTEST))
