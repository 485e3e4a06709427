"""The charts of the throughput."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from duly import Throughput, ThroughputPeriod
from duly.web.dashboard.charts.throughput import HEIGHT, throughput_chart

START = datetime(2026, 1, 1, tzinfo=UTC)


def window(*periods: ThroughputPeriod) -> Throughput:
    return Throughput(START, "1h", 60, list(periods), {"succeeded": 1, "failed": 2}, None, None)


def period(p50: float | None = None, p99: float | None = None, **outcomes: int) -> ThroughputPeriod:
    return ThroughputPeriod(START + timedelta(minutes=1), outcomes, p50, p99)


def test_columns_have_the_height_of_their_number() -> None:
    """Failures at the bottom, where their heights can be compared; empty periods are left out."""
    chart = throughput_chart(window(period(succeeded=6, failed=2), period(), period(succeeded=4)))
    assert (chart.width, chart.most) == (3, 8)
    first, last = chart.columns
    assert [(part.outcome, part.top, part.height) for part in first.segments] == [
        ("failed", 75, 25), ("succeeded", 0, 75),
    ]  # fmt: skip
    assert (last.position, last.segments[0].height) == (2, 50)


def test_one_failure_among_thousands_is_visible() -> None:
    """And the column stays inside the chart."""
    (column,) = throughput_chart(window(period(succeeded=9_999, failed=1))).columns
    failed, succeeded = column.segments
    assert failed.height == 2
    assert succeeded.top >= 0
    assert failed.height + succeeded.height <= HEIGHT


@pytest.mark.parametrize(
    ("number", "most"), [(0, 2), (1, 2), (3, 4), (7, 8), (9, 10), (10, 10), (11, 20), (4321, 6000)]
)
def test_the_scale_ends_at_a_round_number(number: int, most: int) -> None:
    """Half of it is a whole number, for the mark in the middle."""
    assert throughput_chart(window(period(succeeded=number))).most == most


def test_lateness_is_a_line_with_gaps() -> None:
    """On a logarithmic scale that reaches at least a second."""
    chart = throughput_chart(
        window(period(0.01, 1.0), period(), period(0.1, 0.1), period(1.0, 1.0))
    )
    assert chart.seconds == [0.01, 0.1, 1.0]
    assert chart.p50 == "M0 100.0H1M2 50.0H3V0.0H4"
    assert chart.p99 == "M0 0.0H1M2 50.0H3V0.0H4"


def test_the_scale_of_lateness_grows_with_it() -> None:
    """Up to a week."""
    chart = throughput_chart(window(period(604_800.0, 604_800.0)))
    assert chart.seconds[-1] == 604_800
    assert chart.p99 == "M0 0.0H1"
