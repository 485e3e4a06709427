"""Commands that are one transaction: begun again when another transaction was in their way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from duly.operations.core import Wiring

W = TypeVar("W", bound=Wiring)
P = ParamSpec("P")
R = TypeVar("R")


def patient(command: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """Run a command again as `Store.patiently` does, but never on the caller's session.

    Args:
        command: a method that writes in one transaction and does nothing after it.
    """

    @functools.wraps(command)
    def again(self: W, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("session") is not None:
            return command(self, *args, **kwargs)
        return self.store.patiently(lambda: command(self, *args, **kwargs))

    return again
