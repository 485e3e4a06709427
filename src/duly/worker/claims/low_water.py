"""Low-water marks: where a worker's next claim begins (engine rule 29).

On PostgreSQL a claim from the beginning of the index of ready runs passes the dead entry of every
run that was claimed while somebody holds an old snapshot. So a worker remembers, for each priority,
the first run that it found at last, and begins there.

Other workers make runs ready without telling. A run that becomes ready in front of a mark of its
own priority, since it is older than what is claimed now (rescued, given back, retried, committed
late), is passed over; so each second a claim looks at everything, and so does each claim that
finds fewer runs than there are free places. The bound: while there are more runs than places, such
a run is overtaken by runs that are claimed within one second. Where a place is free none waits, and
a run of a more urgent priority is found at once, for its due time lies behind that priority's mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from duly.clock import Clock
from duly.store.dialect import Choice, Mark

LOOK_EVERY = 1.0
"""Seconds after which a claim looks at everything again."""

MOST = 64
"""Priorities with a mark; a queue that uses more is looked at from its beginning now and then."""


@dataclass(slots=True)
class _Walk:
    """Where one kind of claim begins.

    Attributes:
        marks: by priority.
        looked: when a claim looked at everything, on the steady clock.
    """

    marks: dict[int, Mark] = field(default_factory=dict)
    looked: float = -math.inf

    def learn(self, rows: Sequence[Row[Any]]) -> None:
        for row in reversed(rows):
            self.marks[row.priority] = Mark(row.priority, row.due_at, row.id)
        if len(self.marks) > MOST:
            self.marks.clear()


class LowWater:
    """The marks of one worker. What a claim found counts even if it is rolled back.

    Args:
        clock: whose steady time counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._walks: dict[tuple[str, Choice], _Walk] = {}

    def marks(self, queue: str, choice: Choice) -> list[Mark]:
        """Where to begin, sorted; nothing: look at everything."""
        walk = self._walks.get((queue, choice))
        if walk is None or self._clock.monotonic() - walk.looked >= LOOK_EVERY:
            return []
        return sorted(walk.marks.values())

    def learn(self, queue: str, choice: Choice, rows: Sequence[Row[Any]]) -> None:
        """Note what a claim that began at the marks has found, in claim order."""
        walk = self._walks[queue, choice]
        walk.learn(rows)
        self._share(queue, choice, walk)

    def learn_all(
        self, queue: str, choice: Choice, rows: Sequence[Row[Any]], *, since: float, filled: bool
    ) -> None:
        """Note what a claim that looked at everything has found.

        Args:
            queue: where.
            choice: which kind of claim.
            rows: in claim order.
            since: when it began, on the steady clock.
            filled: whether it found as many as it wanted: then it never came to the marks behind.
        """
        walk = self._walks.setdefault((queue, choice), _Walk())
        walk.looked = since
        if filled:
            walk.marks = {at: held for at, held in walk.marks.items() if at <= rows[-1].priority}
        walk.learn(rows)
        self._share(queue, choice, walk)

    def _share(self, queue: str, choice: Choice, walk: _Walk) -> None:
        """What may be claimed ahead is a part of what may be claimed."""
        if choice is Choice.PLAIN:
            self._walks[queue, Choice.PREFETCH] = _Walk(dict(walk.marks), walk.looked)
