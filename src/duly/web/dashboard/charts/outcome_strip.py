"""A job's last outcomes in one row of a table: a bar for each run, the newest at the right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from duly.operations.outcomes import RunOutcome
from duly.web.dashboard.charts.outcome_bars import HEIGHT, bar_height

STEP = 10
BAR = 7


@dataclass(frozen=True, slots=True)
class OutcomeStrip:
    """The bars of a job's last runs, with one path for each outcome, because a page has many.

    Attributes:
        paths: the state of runs, and the outline of their bars as SVG.
        summary: the number of runs by state, as text.
    """

    paths: list[tuple[str, str]]
    summary: str


def outcome_strip(newest_first: Sequence[RunOutcome], places: int) -> OutcomeStrip:
    """Return the bars of runs that are sorted from newest to oldest.

    Args:
        newest_first: the runs.
        places: the number of bars for which there is room.
    """
    longest = max((run.duration for run in newest_first if run.duration), default=None)
    outlines: dict[str, list[str]] = {}
    for number, run in enumerate(newest_first):
        height = bar_height(run.duration, longest)
        x = (places - 1 - number) * STEP
        outline = f"M{x} {HEIGHT - height}h{BAR}v{height}h-{BAR}z"
        outlines.setdefault(run.state, []).append(outline)
    states = Counter(run.state for run in newest_first).most_common()
    return OutcomeStrip(
        [(state, "".join(parts)) for state, parts in outlines.items()],
        ", ".join(f"{number} {state}" for state, number in states),
    )
