"""Whether this process is a worker's child; no worker starts in such a process.

A child process imports the application's modules, and some of them start their scheduler.
"""

from __future__ import annotations

import threading

_inside = threading.Event()


def enter() -> None:
    """Mark this process as a worker's child."""
    _inside.set()


def inside() -> bool:
    """Return whether this process is a worker's child."""
    return _inside.is_set()
