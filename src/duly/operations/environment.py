"""The environment of a scheduler: what replaces its database, clock and executors for a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from duly.clock import Clock
from duly.executors.base import Executors
from duly.hooks import Listener
from duly.store.store import Store


@dataclass(frozen=True, slots=True)
class Environment:
    """What a scheduler works with inside `Scheduler.within`, instead of its own parts.

    Attributes:
        store: the database; its creator closes it.
        clock: the clock that the store uses.
        executors: where functions run.
        listener: called with every committed event.
    """

    store: Store
    clock: Clock
    executors: Executors
    listener: Listener


DoDue = Callable[[], datetime | None]
"""Does everything that is due now, and returns when more will be, as far as that is known."""
