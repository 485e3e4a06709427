"""Types that lower layers use, and that higher layers or the host application implement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

Listener = Callable[[Any], object]
"""A function called with an `Event` after its transaction has committed; its errors are logged."""

AroundRun = Callable[[Any], AbstractContextManager[Any]]
"""A function called with the `Run`, which returns a context manager for the call of its task."""


class Observer(Protocol):
    """What a worker reports of its work, so that it can be measured.

    The methods are called from any thread, with every run; they must be quick and must not raise.
    """

    def attempt_started(self, claim: Any, now: datetime) -> None:
        """An attempt begins.

        Args:
            claim: the `Claim` of its run.
            now: the present.
        """

    def attempt_ended(self, claim: Any, result: Any) -> None:
        """The function of an attempt has ended, or could not be called.

        Args:
            claim: the `Claim` of its run.
            result: the `CallResult`.
        """

    def step_ended(self, seconds: float) -> None:
        """A step of the worker has succeeded.

        Args:
            seconds: how long it took.
        """


class Injected:
    """Base class of the types that a task's function can ask for by annotation."""
