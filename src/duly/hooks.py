"""What lower rooms call and higher rooms (or the host application) implement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Listener = Callable[[Any], object]
"""Called with an `Event` after the commit that made it true; whatever it raises is logged."""

AroundRun = Callable[[Any], AbstractContextManager[Any]]
"""Called with the `Run`; the context manager it returns is entered around the function."""


class Injected:
    """Base of what a function may ask for by annotation and the engine supplies at run time."""
