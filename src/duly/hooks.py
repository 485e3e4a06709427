"""Types that lower layers use, and that higher layers or the host application implement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Listener = Callable[[Any], object]
"""A function called with an `Event` after its transaction has committed; its errors are logged."""

AroundRun = Callable[[Any], AbstractContextManager[Any]]
"""A function called with the `Run`, which returns a context manager for the call of its task."""


class Injected:
    """Base class of the types that a task's function can ask for by annotation."""
