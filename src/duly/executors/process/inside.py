"""Whether this process executes functions for a worker; then no worker starts in it.

Such a process imports the application's modules, and some of them start their scheduler.
"""

from __future__ import annotations

import threading

_inside = threading.Event()


def enter() -> None:
    """Note that it does; called once, by the process itself."""
    _inside.set()


def inside() -> bool:
    """Return whether it does."""
    return _inside.is_set()
