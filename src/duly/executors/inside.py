"""Whether this process is one that executes functions for another: then no engine starts here.

Such a process imports the application's modules, and some of them start their scheduler.
"""

from __future__ import annotations

import threading

_inside = threading.Event()


def enter() -> None:
    """Say that it is; called once, by the process itself."""
    _inside.set()


def inside() -> bool:
    """Whether somebody said so."""
    return _inside.is_set()
