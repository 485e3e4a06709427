"""Whether code is being imported where requests arrive, or by a command that answers none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_answered: ContextVar[bool] = ContextVar("duly_requests_are_answered", default=True)


def requests_are_answered() -> bool:
    """Return whether the application being set up may receive requests."""
    return _answered.get()


@contextmanager
def without_requests() -> Iterator[None]:
    """Set an application up, inside the block, in a process in which it receives no requests."""
    token = _answered.set(False)
    try:
        yield
    finally:
        _answered.reset(token)
