"""Jobs of an application that run beside the experiment's own, and what must hold for them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Protocol

from duly import Scheduler


class Load(Protocol):
    """What a module contains that ``--load`` names. Importing it opens no connection."""

    def prepare(self, url: str) -> None:
        """Create its tables in the database, beside Duly's, before the first worker starts."""

    def declare(self, scheduler: Scheduler, url: str) -> None:
        """Declare its jobs, in each worker.

        Each of them must fire within the warm-up and succeed, so ``every(seconds=1)`` stands in
        for a daily job. The names of its tasks must not be those of the experiment.

        Args:
            scheduler: the scheduler of this process.
            url: how this process reaches the database: through its own proxy, if there is one.
        """

    def check(self, url: str) -> Iterable[str]:
        """Return a line for each violation, after everything was healed and every run has ended."""


class Nothing:
    """The load of an experiment without one."""

    def prepare(self, url: str) -> None:
        """Do nothing."""

    def declare(self, scheduler: Scheduler, url: str) -> None:
        """Declare nothing."""

    def check(self, url: str) -> Iterable[str]:
        """Return nothing."""
        return ()


def load_named(name: str) -> Load:
    """Import a load by the name of its module; an empty name is the load `Nothing`."""
    if not name:
        return Nothing()
    module: Any = import_module(name)
    load: Load = module
    return load
