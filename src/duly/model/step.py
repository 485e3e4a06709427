"""The result of executing everything that is due, and the listener that counts outcomes."""

from __future__ import annotations

import threading
from collections import Counter

from duly.model.event import Event
from duly.model.record import Record, record

OUTCOMES = (
    "succeeded",
    "failed",
    "retried",
    "snoozed",
    "missed",
    "skipped",
    "cancelled",
    "discarded",
)
"""The possible outcomes of an attempt, or of a nominal time that does not run."""


@record
class Step(Record):
    """The result of executing everything that is due.

    Attributes:
        complete: whether nothing is due and nothing is running any more.
        runs: the number of runs in this process by outcome, with a key for each of `OUTCOMES`.
    """

    complete: bool
    runs: dict[str, int]


class OutcomeCounter:
    """A listener that counts the outcomes of runs."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Count an event if it is the outcome of a run."""
        kind = event.kind.removeprefix("run.")
        if kind in OUTCOMES:
            with self._lock:
                self._counts[kind] += 1

    def counts(self) -> dict[str, int]:
        """Return the number of runs for each of `OUTCOMES`."""
        with self._lock:
            return {kind: self._counts[kind] for kind in OUTCOMES}
