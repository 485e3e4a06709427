"""Waiting for something outside this process: polling with a deadline, never a blind sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

POLL = 0.02

T = TypeVar("T")


def wait_until(check: Callable[[], T], *, timeout: float = 150.0, what: str = "") -> T:
    """Call ``check`` until it returns something true, and return that.

    Args:
        check: called again and again.
        timeout: seconds until it is given up.
        what: named in the error.

    Raises:
        TimeoutError: ``check`` stayed false.
    """
    deadline = time.monotonic() + timeout
    while not (found := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or check} did not come true within {timeout} s")
        time.sleep(POLL)
    return found
