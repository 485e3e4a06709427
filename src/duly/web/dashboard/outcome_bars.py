"""A job's last runs as a strip of bars: the height is the duration, the colour the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from duly.web.api.schemas import Run

HEIGHT = 40
LOWEST = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One run of the strip.

    Attributes:
        height: of `HEIGHT`.
    """

    run: Run
    height: int


@dataclass(frozen=True, slots=True)
class OutcomeBars:
    """The bars, oldest first, and what they say in formatting.

    Attributes:
        longest: seconds.
    """

    bars: list[Bar]
    summary: str
    longest: float | None


def outcome_bars(newest_first: Sequence[Run]) -> OutcomeBars:
    """A strip of these runs."""
    durations = [run.duration for run in newest_first if run.duration is not None]
    longest = max(durations, default=None)
    bars = [Bar(run, _height(run.duration, longest)) for run in reversed(newest_first)]
    counted = Counter(run.state for run in newest_first).most_common()
    return OutcomeBars(bars, ", ".join(f"{number} {state}" for state, number in counted), longest)


def _height(duration: float | None, longest: float | None) -> int:
    if duration is None or not longest:
        return LOWEST
    return max(LOWEST, round(HEIGHT * sqrt(duration / longest)))
