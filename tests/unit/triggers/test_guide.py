"""The guide on clock changes: what it promises is what happens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from duly.triggers import cron, explain
from tests.unit.triggers.helpers import utc

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "clock_changes.md").read_text()
ROW = re.compile(r"^\| (\w+/\w+) \| (\d{4}-\d\d-\d\d) \| `([^`]+)` \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)


def runs_of(zone, day, text):
    """Return the runs of a local day."""
    tz = ZoneInfo(zone)
    noon = datetime.combine(datetime.fromisoformat(day), time(12), UTC)
    found = cron(text, tz=tz).due(noon - timedelta(days=2), noon + timedelta(days=2), keep=200)
    local = [fire.astimezone(tz) for fire in found.newest]
    return [f"{fire:%H:%M%z}" for fire in local if f"{fire:%Y-%m-%d}" == day]


@pytest.mark.parametrize(("zone", "day", "text", "promised"), ROWS)
def test_the_table_is_true(zone, day, text, promised):
    """Each row of the table happens as printed."""
    found = runs_of(zone, day, text)
    count = re.match(r"(\d+) runs: (\S+) is followed by (\S+)", promised)
    if count:
        assert len(found) == int(count[1])
        assert (count[2], count[3]) in set(pairwise(found))
    else:
        assert found == [promised]


def test_the_table_is_complete():
    """No row was lost when the page was edited."""
    assert len(ROWS) == 19


def test_the_printed_explanation_is_true():
    """The output shown on the page is the actual output."""
    found = explain(cron("30 2 * * *", tz="America/New_York"), utc("2026-03-06T12:00"), 3)
    assert str(found) in PAGE
