"""A job's last outcomes in one row of a table: a bar for each run, the newest at the right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import sqrt

from duly.operations.outcomes import RunOutcome

HEIGHT = 40
MIN_HEIGHT = 6
STEP = 10
BAR = 7


@dataclass(frozen=True, slots=True)
class OutcomeStrip:
    """The bars of a job's last runs, with one path for each outcome, because a page has many.

    Attributes:
        paths: the state of runs, and the outline of their bars as SVG.
        width: the width of the drawing.
        summary: the number of runs by state, as text.
    """

    paths: list[tuple[str, str]]
    width: int
    summary: str


def outcome_strip(newest_first: Sequence[RunOutcome]) -> OutcomeStrip:
    """Return the bars of runs that are sorted from newest to oldest."""
    longest = max((run.duration for run in newest_first if run.duration), default=None)
    outlines: dict[str, list[str]] = {}
    for place, run in enumerate(reversed(newest_first)):
        height = _height(run.duration, longest)
        outline = f"M{place * STEP} {HEIGHT - height}h{BAR}v{height}h-{BAR}z"
        outlines.setdefault(run.state, []).append(outline)
    states = Counter(run.state for run in newest_first).most_common()
    return OutcomeStrip(
        [(state, "".join(parts)) for state, parts in outlines.items()],
        len(newest_first) * STEP,
        ", ".join(f"{number} {state}" for state, number in states),
    )


def _height(duration: timedelta | None, longest: timedelta | None) -> int:
    if duration is None or not longest:
        return MIN_HEIGHT
    return max(MIN_HEIGHT, round(HEIGHT * sqrt(duration / longest)))
