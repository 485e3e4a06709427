"""The durations of a job's last runs, above a line, and how late they started, below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from duly.model.run import RunRecord
from duly.web.dashboard import formatting

WIDTH = 1000
"""The width of the drawing."""

SLOTS = 100
"""The number of runs that are drawn."""

_FEWEST = 40
"""Fewer runs than these leave space at the left."""

HEIGHT, DEPTH = 120, 40
AXIS = 126
"""The line between durations and lateness."""

_LEAST = 3
_CAP = 4
"""Longer durations than the 95th percentile times this are cut off, so that the others show."""


@dataclass(frozen=True, slots=True)
class DurationBar:
    """The bar of one run.

    The shapes are paths, as in the attribute ``d``: a page has a hundred of each.

    Attributes:
        run: the run.
        area: the whole height, which can be clicked.
        shape: its duration; a dot if it has not started.
        late_shape: its lateness; empty if there was none.
        took: its duration, as text.
        late: how late it started, as text; empty if it has not started.
    """

    run: RunRecord
    area: str
    shape: str
    late_shape: str
    took: str
    late: str

    @property
    def text(self) -> str:
        """What the bar shows, in words."""
        took = f", took {self.took}" if self.took else ""
        return f"{self.run.state}{took}{f', started {self.late} late' if self.late else ''}"


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
    """

    bars: list[DurationBar]
    median: timedelta | None
    high: timedelta | None
    late: timedelta | None
    lines: tuple[int, int]
    states: Sequence[tuple[str, int]]

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
        _bar(run, _Place(first + number * slot, slot), (top, deepest), now)
        for number, run in enumerate(runs)
    ]
    return Durations(
        bars=bars,
        median=median,
        high=high,
        late=_quantile(waits, 0.95),
        lines=(_scaled(median, top, HEIGHT), _scaled(high, top, HEIGHT)),
        states=Counter(run.state for run in runs).most_common(),
    )


def lateness(run: RunRecord) -> timedelta | None:
    """Return how long after it was due a run has started; ``None`` if it has not."""
    if run.started_at is None:
        return None
    return max(timedelta(), run.started_at - run.due_at)


class _Place(NamedTuple):
    """The left edge and the width of a bar."""

    x: float
    width: float

    def box(self, y: int, height: int, share: float = 0.8) -> str:
        """Return the path of a box that takes a share of the width."""
        x, width = self.x + self.width * (1 - share) / 2, self.width * share
        return f"M{x:.1f} {y}h{width:.1f}v{height}h-{width:.1f}z"


def _bar(
    run: RunRecord, place: _Place, tops: tuple[timedelta, timedelta], now: datetime
) -> DurationBar:
    took, late = run.duration, lateness(run)
    if took is None and run.state == "running" and run.started_at is not None:
        took = now - run.started_at
    if took is None:
        shape = place.box(AXIS - 6, 6, share=0.5)
    else:
        height = max(_LEAST, min(HEIGHT, _scaled(took, tops[0], HEIGHT)))
        shape = place.box(AXIS - height, height)
        if took > tops[0] > timedelta():  # a gap shows that it is cut off
            shape = f"{place.box(AXIS - HEIGHT, 6)}{place.box(AXIS - HEIGHT + 9, HEIGHT - 9)}"
    depth = max(1, _scaled(late, tops[1], DEPTH)) if late else 0
    return DurationBar(
        run=run,
        area=place.box(0, AXIS + DEPTH + 12, share=1),
        shape=shape,
        late_shape=place.box(AXIS + 6, depth) if depth else "",
        took=formatting.span(run.duration),
        late=formatting.span(late),
    )


def _scaled(value: timedelta | None, top: timedelta, height: int) -> int:
    return round(height * min(2.0, value / top)) if value and top else 0


def _quantile(ascending: Sequence[timedelta], share: float) -> timedelta | None:
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else None
