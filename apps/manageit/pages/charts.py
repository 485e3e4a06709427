"""Charts of values by day, a row of bars for each subject, as numbers for SVG elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT, GAP = 280.0, 64.0, 6.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar inside `WIDTH` and `HEIGHT`."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class BarChart:
    """The bars of one subject.

    Attributes:
        subject: a floor or a meal.
        bars: one for each day that has a value.
        figure: what the alerts compare: the sum of the values, or their average.
        bad: whether that figure raises an alert.
    """

    subject: str
    bars: Sequence[Bar]
    figure: float
    bad: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Values by day and subject, as a table and as charts.

    Attributes:
        days: all days, the first one first.
        values: the values of each subject, by day.
        charts: the chart of each subject.
    """

    days: Sequence[date]
    values: Mapping[str, Mapping[date, float]]
    charts: Sequence[BarChart]


def bars_of(values: Mapping[date, float], days: Sequence[date], top: float) -> list[Bar]:
    """Return the bars of one subject; one as high as the chart is as large as ``top``."""
    room = WIDTH / len(days)
    return [
        _bar(index * room, room, values[day] / top if top else 0.0)
        for index, day in enumerate(days) if day in values
    ]  # fmt: skip


def _bar(x: float, room: float, share: float) -> Bar:
    height = max(share * HEIGHT, 2.0)  # a value of zero is not a missing one
    return Bar(x + GAP / 2, HEIGHT - height, room - GAP, height)
