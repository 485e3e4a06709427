"""Waiting for another process or thread: polling with a deadline, and never a blind sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

POLL = 0.02

T = TypeVar("T")


def wait_until(check: Callable[[], T], *, timeout: float = 150.0, what: str = "") -> T:
    """Call ``check`` until it returns a true value, and return that value.

    Args:
        check: the condition, which is called repeatedly.
        timeout: seconds after which to give up.
        what: a description of the condition for the error message.

    Raises:
        TimeoutError: the condition did not become true in time.
    """
    deadline = time.monotonic() + timeout
    while not (found := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or check} did not come true within {timeout} s")
        time.sleep(POLL)
    return found
