"""The formatting of times, durations and names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from duly.web.dashboard import elements, formatting
from duly.web.dashboard.charts.timeline import timeline
from tests.web.site import Site

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.0004, "0 ms"), (0.25, "250 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"),
        (9.94, "9.9 s"), (12.4, "12 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"),
        (3600, "1 h"), (3660, "1 h 1 min"), (3601, "1 h"), (90000, "1 d 1 h"), (-3, "-3.0 s"),
        (None, ""),
    ],
)  # fmt: skip
def test_spans(seconds: float | None, text: str) -> None:
    """A duration has at most two units, and is never "60 s"."""
    assert formatting.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"), (0.4, "now"), (1, "in 1 s"), (-59, "59 s ago"), (60, "in 1 min"),
        (-119, "1 min ago"), (3600, "in 1 h"), (-86400 * 3, "3 d ago"),
    ],
)  # fmt: skip
def test_relative_times(seconds: float, text: str) -> None:
    """A relative time has one unit, as in the script."""
    assert formatting.relative(NOW + timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "13:00:00"),
        (NOW + timedelta(hours=12), "Fri 2 Jan 01:00:00"),
        (NOW - timedelta(days=1), "Wed 31 Dec 2025 13:00:00"),
    ],
)
def test_short_times(moment: datetime, text: str) -> None:
    """The date is shown unless it is today, the year unless it is this year."""
    assert formatting.short_time(moment, NOW, ZoneInfo("Europe/Madrid")) == text


@pytest.mark.parametrize(
    ("name", "offset"),
    [("UTC", "UTC"), ("Asia/Kathmandu", "UTC+05:45"), ("America/St_Johns", "UTC-03:30")],
)
def test_offsets(name: str, offset: str) -> None:
    """An offset has a sign, hours and minutes."""
    assert formatting.offset(NOW.astimezone(ZoneInfo(name))) == offset


def test_names_may_be_broken() -> None:
    """Names may be broken after separators, and are escaped."""
    assert elements.breakable("a_b.c&d<e") == "a_<wbr>b.<wbr>c&amp;d&lt;e"


def test_the_timeline_contains_every_job(site: Site) -> None:
    """Points and ticks are in order, from 0 to 1000, for seconds as well as months."""
    jobs = [job.redacted() for job in site.scheduler.jobs()]
    ahead = [jobs[0].replace(next_fire_at=NOW + timedelta(seconds=s)) for s in
             (-3, 0, 1, 1.1, 60, 3600, 86400 * 20)]  # fmt: skip
    line = timeline(ahead, NOW)
    places = [point.position for point in line.points]
    assert places == sorted(places)
    assert places[0] == places[1] == 0
    assert places[-1] <= 1000
    assert [point.level for point in line.points[:2]] == [0, 1]
    assert [text for text, _place in line.ticks] == [
        "now", "10 s", "1 min", "10 min", "1 h", "1 d", "7 d", "30 d",
    ]  # fmt: skip
    assert line.ticks[-1][1] == 1000
    assert timeline([], NOW).points == []
