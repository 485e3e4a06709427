"""A duty that is performed at intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duly.model.policy import unit_hash


@dataclass(slots=True)
class Periodic:
    """One duty of a worker, and when it is due next.

    Attributes:
        interval: seconds from one time to the next.
        perform: called with the worker's id.
        spread: how far the interval differs from worker to worker, so that they do not coincide:
            0.2 for ± 20 %.
        wakes: whether the loop wakes up for it; other duties wait for its next step.
        only_if: returns whether there is anything to do; default: always.
        due: when it is due next, on the steady clock; ``None`` before the first time.
    """

    interval: float
    perform: Callable[[str], object]
    spread: float = 0.0
    wakes: bool = False
    only_if: Callable[[], Any] | None = None
    due: float | None = None

    @property
    def next_wake(self) -> float | None:
        """When the loop must wake up for this duty."""
        needed = self.wakes and (self.only_if is None or self.only_if())
        return self.due if needed else None

    def run(self, worker_id: str, steady: float) -> None:
        """Perform the duty if it is due: the first time at once."""
        if self.due is not None and self.due > steady:
            return
        if self.only_if is None or self.only_if():
            stretch = 1 + self.spread * (2 * unit_hash(worker_id) - 1) if self.spread else 1
            self.due = steady + self.interval * stretch
            self.perform(worker_id)
