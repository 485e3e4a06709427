"""A chart of an alert's values beside its threshold, as numbers for an SVG element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.alerts.models import Instance

WIDTH, HEIGHT, MARGIN = 600.0, 140.0, 10.0


@dataclass(frozen=True, slots=True)
class Chart:
    """Positions inside `WIDTH` and `HEIGHT`.

    Attributes:
        line: the points of the line through all values.
        dots: the point of each value, and whether its condition was met.
        threshold: the points of the line of thresholds, which may have changed.
        low, high: the figures at the bottom and at the top.
    """

    line: str
    dots: list[tuple[str, bool]]
    threshold: str
    low: float
    high: float


def chart_of(instances: Sequence[Instance]) -> Chart | None:
    """Return the chart of instances, newest first; ``None`` if fewer than two have a value."""
    shown = [one for one in reversed(instances) if one.observed_value is not None]
    if len(shown) < 2:
        return None
    values = [float(one.observed_value or 0) for one in shown]
    thresholds = [float(one.threshold) for one in shown]
    low, high = min(*values, *thresholds), max(*values, *thresholds)
    first, last = shown[0].triggered_at, shown[-1].triggered_at
    span = (last - first).total_seconds() or 1.0

    def place(index: int, value: float) -> str:
        passed = (shown[index].triggered_at - first).total_seconds() / span
        x = MARGIN + passed * (WIDTH - 2 * MARGIN)
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{x:.1f},{HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN):.1f}"

    points = [place(index, value) for index, value in enumerate(values)]
    return Chart(
        line=" ".join(points),
        dots=[(point, one.condition_met) for point, one in zip(points, shown, strict=True)],
        threshold=" ".join(place(index, value) for index, value in enumerate(thresholds)),
        low=low,
        high=high,
    )
