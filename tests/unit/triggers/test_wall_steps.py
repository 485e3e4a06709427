"""Steps on the wall clock (rule R8)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from duly.errors import NaiveDatetimeError, TriggerError
from duly.triggers import shift_wall
from tests.unit.triggers.helpers import utc

NEW_YORK = "America/New_York"


def new_york(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "steps", "expected"),
    [
        ("2026-03-12T18:00", {"days": -7}, "2026-03-05T18:00"),
        ("2026-11-05T18:00", {"weeks": -1}, "2026-10-29T18:00"),
        ("2026-03-31T18:00", {"months": -1}, "2026-02-28T18:00"),
        ("2024-02-29T18:00", {"years": 1}, "2025-02-28T18:00"),
        ("2026-01-31T18:00", {"months": 1, "days": 1}, "2026-03-01T18:00"),
        ("2026-03-07T02:30", {"days": 1}, "2026-03-08T03:30"),  # a gap: forward by its length
        ("2026-10-31T01:30", {"days": 1}, "2026-11-01T01:30"),  # a fold: the first
    ],
)
def test_the_time_of_day_stays(moment, steps, expected):
    """Seven days before 18:00 is 18:00, whether or not the clock changes between."""
    assert shift_wall(new_york(moment), tz=NEW_YORK, **steps) == new_york(expected)


def test_wrong_steps_are_refused():
    """Naive moments, unknown zones and results outside the calendar are errors."""
    with pytest.raises(NaiveDatetimeError):
        shift_wall(utc("2026-01-01").replace(tzinfo=None), tz="UTC", days=1)
    with pytest.raises(TriggerError):
        shift_wall(utc("2026-01-01"), tz="Mars/Base", days=1)
    for steps in ({"days": 10**9}, {"years": 9000}, {"months": -(10**6)}):
        with pytest.raises(TriggerError, match="outside the calendar"):
            shift_wall(utc("2026-01-01"), tz="UTC", **steps)
