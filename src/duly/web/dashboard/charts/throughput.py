"""The throughput as two charts: columns of ended runs by outcome, and lines of their lateness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log

from duly.operations.throughput import Throughput, ThroughputPeriod

OUTCOMES = ("failed", "missed", "skipped", "cancelled", "discarded", "succeeded")
"""From the bottom of a column to its top, so that the heights of bad outcomes can be compared."""

HEIGHT = 100
_LEAST = 2
"""The least height of what is not zero: one failure among thousands of successes stays visible."""

_SECONDS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 604_800.0)
"""The marks of the scale of lateness, at equal distances."""
_FEWEST_MARKS = 3
_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a column that stands for one outcome.

    Attributes:
        outcome: the state in which the runs ended.
        top: the distance from the top of the chart.
        height: its height.
    """

    outcome: str
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """The column of a period.

    Attributes:
        period: the period.
        position: its place, counted from 0.
        segments: from bottom to top; empty if no run ended.
    """

    period: ThroughputPeriod
    position: int
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class ThroughputChart:
    """Both charts, in a box that is as wide as there are periods, and `HEIGHT` high.

    Attributes:
        width: the number of periods.
        columns: the columns of the periods in which runs ended.
        most: the number of runs at the top of the columns' scale.
        p50: the line of the median lateness, as the path of an SVG.
        p99: the line of the lateness that 99 % did not exceed.
        seconds: the marks of the lines' scale, from the bottom to the top.
        areas: the columns' parts of each outcome, as the path of an SVG.
        starts: when each quarter of the window begins.
        outcomes: the outcomes that occurred, with their number, in the order of a legend.
    """

    width: int
    columns: list[Column]
    areas: dict[str, str]
    most: int
    p50: str
    p99: str
    seconds: list[float]
    starts: list[datetime]
    outcomes: list[tuple[str, int]]


def throughput_chart(found: Throughput) -> ThroughputChart:
    """Return the charts of a window."""
    periods = found.periods
    most = _round_up(max((sum(period.outcomes.values()) for period in periods), default=0))
    columns = [
        Column(period, position, _segments(period.outcomes, most))
        for position, period in enumerate(periods)
        if period.outcomes
    ]
    late = [each.lateness_p99 for each in periods if each.lateness_p99 is not None]
    seconds = _marks(max(late, default=0.0))
    return ThroughputChart(
        width=len(periods),
        columns=columns,
        areas=_areas(columns),
        most=most,
        p50=_line((period.lateness_p50 for period in periods), seconds),
        p99=_line((period.lateness_p99 for period in periods), seconds),
        seconds=seconds,
        starts=[periods[len(periods) * part // _QUARTERS].start for part in range(_QUARTERS)],
        outcomes=[(each, found.outcomes[each]) for each in reversed(OUTCOMES)
                  if each in found.outcomes],
    )  # fmt: skip


def _segments(outcomes: Mapping[str, int], most: int) -> list[Segment]:
    segments: list[Segment] = []
    top = float(HEIGHT)
    for outcome in OUTCOMES:
        number = outcomes.get(outcome, 0)
        if number:
            height = max(_LEAST, round(HEIGHT * number / most, 2))
            height = min(height, max(top, _LEAST))
            top = max(0.0, round(top - height, 2))
            segments.append(Segment(outcome, top, height))
    return segments


def _areas(columns: Iterable[Column]) -> dict[str, str]:
    """Return one path for each outcome, which takes a tenth of the time of one for each segment."""
    paths: dict[str, list[str]] = {}
    for column in columns:
        for part in column.segments:
            path = f"M{column.position}.1 {part.top:g}h.8v{part.height:g}h-.8z"
            paths.setdefault(part.outcome, []).append(path)
    return {outcome: "".join(parts) for outcome, parts in paths.items()}


def _round_up(number: int) -> int:
    """Return the next number that is 2, 4, 6, 8 or 10 times a power of ten: its half is round."""
    size = 1
    while number > 10 * size:
        size *= 10
    return next(size * step for step in (2, 4, 6, 8, 10) if number <= size * step)


def _marks(longest: float) -> list[float]:
    below = [mark for mark in _SECONDS if mark < longest]
    return list(_SECONDS[: max(_FEWEST_MARKS, len(below) + 1)])


def _line(values: Iterable[float | None], marks: Sequence[float]) -> str:
    path: list[str] = []
    is_drawn = False
    for position, value in enumerate(values):
        if value is None:
            is_drawn = False
            continue
        y = _y(value, marks)
        path.append(f"V{y}" if is_drawn else f"M{position} {y}")
        path.append(f"H{position + 1}")
        is_drawn = True
    return "".join(path)


def _y(seconds: float, marks: Sequence[float]) -> float:
    """Return the distance from the top; between two marks the scale is logarithmic."""
    number = sum(mark <= seconds for mark in marks[1:-1])
    lower, upper = marks[number], marks[number + 1]
    part = log(min(max(seconds, lower), upper) / lower) / log(upper / lower)
    return round(HEIGHT * (1 - (number + part) / (len(marks) - 1)), 1)
