"""What became of runs while what was due was done."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from duly.model.event import Event

ENDS = ("succeeded", "failed", "retried", "snoozed", "missed", "skipped", "cancelled", "discarded")
"""What may become of an attempt, or of a nominal time that is not executed."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was done.

    Attributes:
        complete: whether nothing is due any more, and nothing is on its way.
        runs: how many runs in this process succeeded, failed, …; a key for each of `ENDS`.
    """

    complete: bool
    runs: dict[str, int]


class EndCounter:
    """A listener that counts what becomes of runs."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Count an event, if it is an end."""
        kind = event.kind.removeprefix("run.")
        if kind in ENDS:
            with self._lock:
                self._held[kind] += 1

    def counts(self) -> dict[str, int]:
        """How often each of `ENDS` came."""
        with self._lock:
            return {kind: self._held[kind] for kind in ENDS}
