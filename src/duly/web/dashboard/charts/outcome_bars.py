"""A bar chart of a job's last runs: the height is the duration, the colour the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import sqrt

from duly.model.run import RunRecord

HEIGHT = 40
MIN_HEIGHT = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of one run.

    Attributes:
        run: the run.
        height: from `MIN_HEIGHT` to `HEIGHT`.
    """

    run: RunRecord
    height: int


@dataclass(frozen=True, slots=True)
class OutcomeBars:
    """The bars of a job's last runs.

    Attributes:
        bars: one for each run, oldest first.
        summary: the number of runs by state, as text.
        longest: the longest duration; ``None`` if no run has finished.
    """

    bars: list[Bar]
    summary: str
    longest: timedelta | None


def outcome_bars(newest_first: Sequence[RunRecord]) -> OutcomeBars:
    """Return the bars of runs that are sorted from newest to oldest."""
    durations = [run.duration for run in newest_first if run.duration is not None]
    longest = max(durations, default=None)
    bars = [Bar(run, _height(run.duration, longest)) for run in reversed(newest_first)]
    states = Counter(run.state for run in newest_first).most_common()
    return OutcomeBars(bars, ", ".join(f"{number} {state}" for state, number in states), longest)


def _height(duration: timedelta | None, longest: timedelta | None) -> int:
    if duration is None or not longest:
        return MIN_HEIGHT
    return max(MIN_HEIGHT, round(HEIGHT * sqrt(duration / longest)))
