"""Low-water marks: where a worker's next claim begins (engine rule 29).

While another transaction holds an old snapshot, PostgreSQL keeps the dead index entry of every run
that was claimed since. A claim that scans the index of ready runs from its beginning passes all of
them. So a worker remembers, for each priority, the first run that its last claim found, and begins
its next claim there.

A worker forgets its marks when it gives runs back, which keep their place in the queue. Other
workers make runs ready without telling this one. A run that becomes ready before the mark of
its priority, because it is older than what is claimed now (rescued, given back, retried, committed
late), is missed. Therefore one claim a second scans everything, and so does each claim that
finds fewer runs than there are free slots. The bound: while there are more runs than slots, such a
run is overtaken by the runs that are claimed within one second. No run waits while a slot is free,
and a run of a more urgent priority is found at once, since its due time is after that priority's
mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from duly.clock import Clock
from duly.store.dialect import Choice, Mark

SCAN_EVERY = 1.0
"""Seconds after which a claim scans everything again."""

MAX_MARKS = 64
"""The limit of priorities with a mark; a queue with more of them loses its marks now and then."""


@dataclass(slots=True)
class _Walk:
    """Where one kind of claim begins.

    Attributes:
        marks: the mark of each priority.
        scanned_at: when a claim last scanned everything, on the steady clock.
    """

    marks: dict[int, Mark] = field(default_factory=dict)
    scanned_at: float = -math.inf

    def learn(self, rows: Sequence[Row[Any]]) -> None:
        for row in reversed(rows):
            self.marks[row.priority] = Mark(row.priority, row.due_at, row.id)
        if len(self.marks) > MAX_MARKS:
            self.marks.clear()


class LowWater:
    """The marks of one worker. What a claim found counts even if it is rolled back.

    Args:
        clock: the steady clock that is read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._walks: dict[tuple[str, Choice], _Walk] = {}

    def marks(self, queue: str, choice: Choice) -> list[Mark]:
        """Return where to begin, sorted; an empty list means to scan everything."""
        walk = self._walks.get((queue, choice))
        if walk is None or self._clock.monotonic() - walk.scanned_at >= SCAN_EVERY:
            return []
        return sorted(walk.marks.values())

    def forget(self) -> None:
        """Forget all marks: a run may have become ready before the mark of its priority."""
        self._walks = {}

    def learn(self, queue: str, choice: Choice, rows: Sequence[Row[Any]]) -> None:
        """Note the rows that a claim from the marks has found, in claim order."""
        walk = self._walks.setdefault((queue, choice), _Walk())
        walk.learn(rows)
        self._share(queue, choice, walk)

    def learn_all(
        self, queue: str, choice: Choice, rows: Sequence[Row[Any]], *, since: float, filled: bool
    ) -> None:
        """Note the rows that a full scan has found.

        Args:
            queue: the queue that was scanned.
            choice: the kind of claim.
            rows: what was found, in claim order.
            since: when the scan began, on the steady clock.
            filled: whether it reached its limit; then later priorities were not scanned.
        """
        walk = self._walks.setdefault((queue, choice), _Walk())
        walk.scanned_at = since
        if filled:
            last = rows[-1].priority
            walk.marks = {at: mark for at, mark in walk.marks.items() if at <= last}
        walk.learn(rows)
        self._share(queue, choice, walk)

    def _share(self, queue: str, choice: Choice, walk: _Walk) -> None:
        """Prefetch from the same marks: what may be prefetched is part of what may be claimed."""
        if choice is Choice.PLAIN:
            self._walks[queue, Choice.PREFETCH] = _Walk(dict(walk.marks), walk.scanned_at)
