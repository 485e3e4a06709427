"""The calendar trigger: every n days, weeks, months or years."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.errors import TriggerError
from duly.triggers import calendar, decode, encode
from tests.unit.triggers.helpers import fires, shown, utc

UNITS = ("days", "weeks", "months", "years")


@given(
    unit=st.sampled_from(UNITS),
    count=st.integers(1, 30),
    start=st.dates(date(1990, 1, 1), date(2030, 12, 31)),
    skip=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_calendar_agrees_with_dateutil(unit, count, start, skip):
    """Calendar intervals step as dateutil's relativedelta does, clamped to the end of the month."""
    zone = ZoneInfo("Europe/Madrid")
    trigger = calendar(
        **{unit: count},
        start=start,
        at="09:30",
        tz="Europe/Madrid",
        missing="skip" if skip else "clamp",
    )
    expected = []
    for step in range(30):
        day = start + relativedelta(**{unit: count * step})
        if not (skip and unit in ("months", "years") and day.day != start.day):
            expected.append(datetime(day.year, day.month, day.day, 9, 30, tzinfo=zone))
    end = expected[-1].astimezone(UTC)
    found = fires(trigger, "1980-01-01", end)
    assert found == expected
    due = trigger.due(utc("1980-01-01"), end, keep=4)
    assert (due.count, due.newest) == (len(found), tuple(found[-4:]))
    for index in random.Random(1).sample(range(1, len(found)), min(5, len(found) - 1)):
        assert trigger.next_after(found[index] - timedelta(seconds=1)) == found[index]


def test_several_times_a_day():
    """Times of day are sorted, and duplicates count once."""
    trigger = calendar(weeks=2, at=["17:00", "09:00:30", "17:00"], start="2026-01-03")
    assert shown(fires(trigger, "2026-01-01", "2026-01-18")) == [
        "2026-01-03T09:00:30Z",
        "2026-01-03T17:00:00Z",
        "2026-01-17T09:00:30Z",
        "2026-01-17T17:00:00Z",
    ]


def test_wall_times_shift_out_of_gaps_and_fire_once_in_folds():
    """Wall times shift out of gaps and fire once in folds, as those of cron do (rule R8)."""
    trigger = calendar(days=1, at=["01:30", "02:30"], tz="America/New_York", start="2026-01-01")
    assert shown(fires(trigger, "2026-03-08T05:00", "2026-03-08T23:00")) == [
        "2026-03-08T06:30:00Z",
        "2026-03-08T07:30:00Z",
    ]
    assert shown(fires(trigger, "2026-11-01T04:00", "2026-11-01T23:00")) == [
        "2026-11-01T05:30:00Z",
        "2026-11-01T07:30:00Z",
    ]


def test_binding_supplies_zone_and_first_day():
    """Without a start, the first day is that on which the job is first stored, in its zone."""
    bound = calendar(months=1).bind(tz="Asia/Tokyo", anchor=utc("2026-05-04T20:00"))
    assert bound == calendar(months=1, tz="Asia/Tokyo", start=date(2026, 5, 5))
    assert bound.bind(tz="UTC", anchor=utc("2027-01-01")) == bound


def test_round_trip_and_description():
    """A calendar interval survives encoding as JSON and describes itself in English."""
    trigger = calendar(months=3, at="08:00", start="2026-01-31", tz="Europe/Madrid", gap="skip")
    assert decode(encode(trigger)) == trigger
    assert str(trigger) == (
        "every 3 months at 08:00 from 2026-01-31, or the last day of the month, Europe/Madrid time"
    )
    assert str(calendar(days=1)) == "every day at 00:00"
    assert repr(calendar(weeks=2, at="09:00")) == "calendar(weeks=2, at=['09:00'])"


WRONG = [
    {},
    {"days": 0},
    {"days": -1},
    {"days": 1.5},
    {"days": True},
    {"days": 1, "weeks": 1},
    {"fortnights": 1},
    {"days": 10**9},
    {"days": 1, "at": "24:00"},
    {"days": 1, "at": "9:00"},
    {"days": 1, "at": []},
    {"days": 1, "at": 5},
    {"days": 1, "at": "\u0660\u0669:\u0660\u0660"},
    {"days": 1, "start": "2026-02-30"},
    {"days": 1, "start": datetime(2026, 1, 1, tzinfo=UTC)},
    {"days": 1, "missing": "last"},
    {"days": 1, "tz": "Mars/Base"},
    {"days": 1, "gap": "no"},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_invalid_options_are_rejected(options):
    """Invalid options raise a TriggerError when the trigger is created."""
    with pytest.raises(TriggerError):
        calendar(**options)


def test_the_ends_of_the_calendar_raise_nothing():
    """After the year 9999 there is no next fire; long before the start, the start is next."""
    trigger = calendar(years=1000, start="2026-01-01")
    assert trigger.next_after(utc("9026-01-01")) is None
    assert trigger.next_after(utc("0001-01-05")) == utc("2026-01-01")
