"""Secrets of channels, which are given by code and never stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from duly.model.secrets import Resolve, look_up, secret_name

SecretText = str | Callable[[], str]
"""A text, `duly.secret`, or a function that returns the text when it is needed."""

_resolve: ContextVar[Resolve] = ContextVar("duly_channel_secrets", default=os.environ.get)


@contextmanager
def resolving(resolve: Resolve | None) -> Iterator[None]:
    """Look secrets up by this function in the block; ``None``: in the environment."""
    token = _resolve.set(resolve or os.environ.get)
    try:
        yield
    finally:
        _resolve.reset(token)


def literal(given: SecretText) -> str | None:
    """Return the text if it is known already."""
    return given if isinstance(given, str) and secret_name(given) is None else None


def reveal(given: SecretText) -> str:
    """Return the text itself.

    Raises:
        SecretError: the secret is not set in this process.
    """
    if not isinstance(given, str):
        return given()
    name = secret_name(given)
    return given if name is None else look_up(name, _resolve.get())
