"""Secrets of channels, which are given by code and never stored."""

from __future__ import annotations

from collections.abc import Callable

SecretText = str | Callable[[], str]
"""A secret, or a function that returns it when it is needed."""


def reveal(secret: SecretText) -> str:
    """Return the secret itself."""
    return secret if isinstance(secret, str) else secret()
