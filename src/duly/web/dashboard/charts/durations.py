"""The durations of a job's last runs, above a line, and how late they started, below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from duly.model.run import RunRecord

WIDTH = 1000
"""The width of the drawing."""

SLOTS = 100
"""The number of runs that are drawn."""

_FEWEST = 40
"""Fewer runs than these leave space at the left."""

HEIGHT, DEPTH = 120, 40
_LEAST = 3
_CAP = 4
"""Longer durations than the 95th percentile times this are cut off, so that the others show."""


@dataclass(frozen=True, slots=True)
class DurationBar:
    """The bar of one run.

    Attributes:
        run: the run.
        x: its left edge.
        height: the height of its duration; ``0`` if it has not started.
        depth: the depth of its lateness.
        cut: whether its duration is cut off.
        late: how late it started; ``None`` if it has not started.
    """

    run: RunRecord
    x: float
    height: int
    depth: int
    cut: bool
    late: timedelta | None


@dataclass(frozen=True, slots=True)
class Durations:
    """The bars of a job's last runs.

    Attributes:
        bars: one for each run, oldest first.
        median: the duration that half of the finished runs do not exceed.
        high: the duration that 95 % of them do not exceed.
        late: the lateness that 95 % of the started runs do not exceed.
        lines: the heights of the lines at ``median`` and ``high``.
        states: the number of runs by state, the most frequent first.
        slot: the width of a run.
    """

    bars: list[DurationBar]
    median: timedelta | None
    high: timedelta | None
    late: timedelta | None
    lines: tuple[int, int]
    states: Sequence[tuple[str, int]]
    slot: float

    @property
    def summary(self) -> str:
        """The number of runs by state, as text."""
        return ", ".join(f"{number} {state}" for state, number in self.states)


def durations_of(newest_first: Sequence[RunRecord], now: datetime) -> Durations:
    """Return the bars of runs that are sorted from newest to oldest."""
    runs = list(reversed(newest_first[:SLOTS]))
    took = sorted(run.duration for run in runs if run.duration is not None)
    waits = sorted(late for run in runs if (late := lateness(run)) is not None)
    median, high = _quantile(took, 0.5), _quantile(took, 0.95)
    top = min(took[-1], high * _CAP) if took and high else timedelta()
    deepest = waits[-1] if waits else timedelta()
    slot = WIDTH / max(_FEWEST, len(runs))
    first = WIDTH - len(runs) * slot
    bars = [
        _bar(run, round(first + number * slot, 1), top, deepest, now)
        for number, run in enumerate(runs)
    ]
    return Durations(
        bars=bars,
        median=median,
        high=high,
        late=_quantile(waits, 0.95),
        lines=(_scaled(median, top, HEIGHT), _scaled(high, top, HEIGHT)),
        states=Counter(run.state for run in runs).most_common(),
        slot=slot,
    )


def lateness(run: RunRecord) -> timedelta | None:
    """Return how long after it was due a run has started; ``None`` if it has not."""
    if run.started_at is None:
        return None
    return max(timedelta(), run.started_at - run.due_at)


def _bar(
    run: RunRecord, x: float, top: timedelta, deepest: timedelta, now: datetime
) -> DurationBar:
    took = run.duration
    if took is None and run.state == "running" and run.started_at is not None:
        took = now - run.started_at
    height = 0 if took is None else max(_LEAST, min(HEIGHT, _scaled(took, top, HEIGHT)))
    late = lateness(run)
    depth = 0 if not late else max(1, _scaled(late, deepest, DEPTH))
    return DurationBar(run, x, height, depth, took is not None and took > top > timedelta(), late)


def _scaled(value: timedelta | None, top: timedelta, height: int) -> int:
    return round(height * min(2.0, value / top)) if value and top else 0


def _quantile(ascending: Sequence[timedelta], share: float) -> timedelta | None:
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else None
