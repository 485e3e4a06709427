"""Exclusions: weekends, holidays, dates, blackouts, and moving to the next working day."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.errors import TriggerError
from duly.triggers import (
    any_of,
    at,
    blackout,
    calendar,
    closed_hours,
    cron,
    dates,
    decode,
    decode_calendar,
    encode,
    encode_calendar,
    every,
    holidays,
    rrule,
    union,
    weekends,
)
from tests.unit.triggers.helpers import fires, shown, utc

DAY = timedelta(days=1)
CALENDARS = [
    weekends(),
    weekends("fri", "sat"),
    dates("2026-03-09", "12-24", date(2026, 5, 1)),
    holidays("ES", "MD"),
    blackout((utc("2026-03-09T06:00"), utc("2026-03-11T18:30"))),
    closed_hours("22:00", "06:00"),
    closed_hours("12:00", "13:30"),
    union(weekends(), dates("2026-03-16", "2026-03-17")),
]
MOVING = [item for item in CALENDARS if "closed_hours" not in str(item.to_json())]
TRIGGERS = [
    cron("30 2,9 * * *", tz="America/New_York"),
    cron("*/45 * * * *", tz="America/New_York"),
    cron("0 9 1,15,L * *", tz="Europe/Madrid"),
    calendar(days=1, at=["02:15", "17:00"], tz="America/New_York"),
    rrule("FREQ=DAILY;BYHOUR=2,8", start="2026-01-01T00:30", tz="America/New_York"),
    every(hours=5, anchor=utc("2026-01-01T00:00")),
]
SPAN = utc("2026-02-20T00:00"), utc("2026-04-05T00:00")


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
@pytest.mark.parametrize("excluded", CALENDARS, ids=str)
def test_excluded_occurrences_are_dropped(trigger, excluded):
    """Without ``shift``, exactly the occurrences that the calendar excludes are missing."""
    left = trigger.excluding(excluded, tz="America/New_York")
    zone = ZoneInfo(left.tz)
    expected = [f for f in fires(trigger, *SPAN) if excluded.blocked_until(f, zone) is None]
    assert fires(left, *SPAN) == expected


def next_free(excluded, wall, zone):
    """Return the same wall time on the next working day, found by trying every day."""
    rest = excluded.rest_days() or {5, 6}
    while True:
        wall += DAY
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if wall.weekday() not in rest and excluded.blocked_until(moment, zone) is None:
            return moment


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
@pytest.mark.parametrize("excluded", MOVING, ids=str)
def test_excluded_occurrences_are_moved(trigger, excluded):
    """With ``shift``, they fire at their wall time on the next working day, once per instant."""
    moved = trigger.excluding(excluded, shift="next_working_day", tz="America/New_York")
    zone = ZoneInfo(moved.tz)
    expected = set()
    for fire in fires(trigger, SPAN[0] - 20 * DAY, SPAN[1]):
        if excluded.blocked_until(fire, zone) is None:
            expected.add(fire)
        else:
            expected.add(next_free(excluded, trigger.wall_at(fire, zone), zone))
    assert fires(moved, *SPAN) == sorted(m for m in expected if SPAN[0] < m <= SPAN[1])


@pytest.mark.slow
@given(st.integers(0, 90 * 86_400), st.sampled_from(TRIGGERS), st.sampled_from(MOVING))
@settings(max_examples=150, deadline=None)
def test_a_search_from_any_instant_agrees_with_one_from_the_start(second, trigger, excluded):
    """The next occurrence does not depend on where the search starts."""
    moved = trigger.excluding(excluded, shift="next_working_day", tz="Europe/Madrid")
    moment = utc("2026-01-10T00:00") + timedelta(seconds=second)
    walked = fires(moved, moment - 10 * DAY, moment + 40 * DAY)
    assert moved.next_after(moment) == next(f for f in walked if f > moment)


def test_holidays_and_weekends_together():
    """A holiday on a Tuesday is dropped; a first of the month on a weekend moves to Monday."""
    nine = cron("0 9 * * *", tz="Europe/Madrid")
    dropped = nine.excluding(weekends(), holidays("ES"))
    assert [f.day for f in fires(dropped, "2026-01-02T12:00", "2026-01-09")] == [5, 7, 8]
    monthly = cron("0 9 1 * *", tz="Europe/Madrid")
    moved = monthly.excluding(weekends(), holidays("ES"), shift="next_working_day")
    days = [f"{f:%m-%d}" for f in fires(moved, "2025-12-31", "2026-06-02")]
    assert days == ["01-02", "02-02", "03-02", "04-01", "05-04", "06-01"]


def test_a_holiday_on_friday_moves_past_the_weekend():
    """Weekends are not working days, even if the calendar only names the holiday."""
    fridays = cron("0 9 * * 5", tz="Europe/Madrid")
    moved = fridays.excluding(dates("2026-05-01"), shift="next_working_day")
    assert shown(fires(moved, "2026-04-25", "2026-05-09")) == [
        "2026-05-04T07:00:00Z",
        "2026-05-08T07:00:00Z",
    ]


def test_a_shifted_occurrence_keeps_its_own_wall_time_when_it_moves():
    """Sunday's 02:30, which the clock change shifts to 03:30, is 02:30 again on Monday."""
    nightly = cron("30 2 * * *", tz="America/New_York")
    moved = nightly.excluding(weekends(), shift="next_working_day")
    assert shown(fires(moved, "2026-03-06T12:00", "2026-03-10T00:00")) == ["2026-03-09T06:30:00Z"]


def test_named_calendars_are_resolved_each_time_the_trigger_is_bound():
    """A named calendar comes from the store; binding again replaces it by the newer version."""
    nine = cron("0 9 * * *", tz="UTC").excluding("closing days")
    with pytest.raises(TriggerError, match="is not resolved"):
        nine.next_after(SPAN[0])
    with pytest.raises(TriggerError, match="did you mean 'closing_days'"):
        nine.bind(calendars={"closing_days": weekends()})
    bound = nine.bind(calendars={"closing days": dates("2026-02-20")})
    assert bound.next_after(utc("2026-02-20T00:00")) == utc("2026-02-21T09:00")
    again = decode(encode(bound))
    assert again == bound
    assert again.next_after(utc("2026-02-20T00:00")) == utc("2026-02-21T09:00")
    later = bound.bind(calendars={"closing days": weekends()})
    assert later.next_after(utc("2026-02-21T00:00")) == utc("2026-02-23T09:00")
    assert bound.bind(tz="UTC") == bound


def test_the_zone_determines_the_calendar_day():
    """The trigger's zone determines the calendar day; an interval takes the job's zone."""
    hourly = every(hours=1, anchor=utc("2026-01-01T00:00")).excluding(weekends())
    tokyo = hourly.bind(tz="Asia/Tokyo")
    assert tokyo.tz == "Asia/Tokyo"
    assert tokyo.next_after(utc("2026-01-02T14:00")) == utc("2026-01-04T15:00")
    assert hourly.next_after(utc("2026-01-02T14:00")) == utc("2026-01-02T15:00")
    assert tokyo.bind(tz="UTC") == tokyo


def test_the_search_is_limited():
    """If everything is excluded, the search stops with an error that says so."""
    saturdays = cron("0 9 * * sat", tz="UTC").excluding(weekends())
    with pytest.raises(TriggerError, match="every occurrence until"):
        saturdays.next_after(SPAN[0])
    never = cron("0 9 * * *").excluding(closed_hours("08:00", "10:00"), shift="next_working_day")
    with pytest.raises(TriggerError, match="no working day within"):
        never.next_after(SPAN[0])
    assert at(SPAN[0]).excluding(weekends()).next_after(SPAN[1]) is None


@pytest.mark.parametrize("item", CALENDARS, ids=str)
def test_calendars_round_trip(item):
    """A calendar survives encoding as JSON."""
    text = encode_calendar(item)
    assert decode_calendar(text) == item
    assert hash(decode_calendar(text)) == hash(item)
    trigger = cron("0 9 * * *").excluding(item)
    assert decode(encode(trigger)) == trigger


@pytest.mark.parametrize(
    "make",
    [
        lambda: weekends("caturday"),
        lambda: weekends("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
        dates,
        lambda: dates("2026-02-30"),
        lambda: dates("13-01"),
        lambda: dates(datetime(2026, 1, 1, tzinfo=UTC)),
        lambda: holidays("XX"),
        lambda: holidays("ES", "Nowhere"),
        lambda: holidays("../etc"),
        blackout,
        lambda: blackout((SPAN[1], SPAN[0])),
        lambda: closed_hours("08:00", "08:00"),
        lambda: closed_hours("8", "9"),
        union,
        lambda: union(weekends(), 5),  # type: ignore[arg-type]
        lambda: union(*[weekends()] * 51),
        lambda: cron("0 9 * * *").excluding(),
        lambda: cron("0 9 * * *").excluding(5),  # type: ignore[arg-type]
        lambda: cron("0 9 * * *").excluding(""),
        lambda: cron("0 9 * * *").excluding(weekends(), shift="previous"),  # type: ignore[arg-type]
        lambda: cron("0 9 * * *").excluding(weekends(), tz="Mars/Base"),
    ],
)
def test_invalid_calendars_are_rejected(make):
    """Invalid arguments raise a TriggerError when the calendar is created."""
    with pytest.raises(TriggerError):
        make()


WRONG = [
    {},
    {"kind": "os"},
    {"kind": "dates"},
    {"kind": "dates", "days": "2026-01-01"},
    {"kind": "dates", "days": [5]},
    {"kind": "weekends", "days": {"a": 1}},
    {"kind": "holidays", "country": 5},
    {"kind": "holidays", "country": ["ES"]},
    {"kind": "blackout", "windows": [1]},
    {"kind": "blackout", "windows": [["2026-01-01", "2026-01-02"]]},
    {"kind": "closed_hours", "start": "08:00"},
    {"kind": "union", "calendars": []},
    {"kind": "named", "name": 5},
    {"kind": "named", "name": "x", "calendar": 5},
]


@pytest.mark.parametrize("data", WRONG, ids=str)
def test_invalid_data_raises_a_trigger_error(data):
    """Whatever the database contains, reading it raises nothing but a TriggerError."""
    with pytest.raises(TriggerError):
        decode_calendar(json.dumps(data))
    trigger = {"kind": "excluding", "trigger": cron("* * * * *").to_json(), "calendar": data}
    with pytest.raises(TriggerError):
        decode(json.dumps(trigger))


def test_deep_nesting_is_rejected():
    """Calendars nested more than 20 deep raise a TriggerError."""
    data = weekends().to_json()
    for _ in range(30):
        data = {"kind": "union", "calendars": [data]}
    with pytest.raises(TriggerError, match="20 deep"):
        decode_calendar(json.dumps(data))


def test_a_missing_package_is_named(monkeypatch):
    """Without the optional package, the error says what to install."""
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(TriggerError, match="pip install holidays"):
        holidays("IS")  # no other test has asked for it yet: tables are cached


def test_descriptions():
    """The description of a trigger includes what is excluded."""
    nine = cron("0 9 * * *", tz="UTC")
    assert str(nine.excluding(weekends(), holidays("ES", "MD"))) == (
        "at 09:00, UTC; except weekends and public holidays of ES-MD"
    )
    assert str(nine.excluding("bridge days", shift="next_working_day")) == (
        "at 09:00, UTC; moved to the next working day on calendar 'bridge days'"
    )
    assert repr(any_of(nine, at(SPAN[0])).excluding(dates("12-24"))).startswith("any_of(cron(")
