"""Exceptions: weekends, holidays, dates, blackouts, and moving to the next working day."""

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
@pytest.mark.parametrize("kept_out", CALENDARS, ids=str)
def test_what_a_calendar_leaves_out_is_dropped(trigger, kept_out):
    """Without shift, exactly those occurrences are missing that the calendar names."""
    left = trigger.excluding(kept_out, tz="America/New_York")
    zone = ZoneInfo(left.tz)
    expected = [f for f in fires(trigger, *SPAN) if kept_out.blocked_until(f, zone) is None]
    assert fires(left, *SPAN) == expected


def next_free(kept_out, wall, zone):
    """The next working day's instant at the same wall time, found by trying each day."""
    rest = kept_out.rest_days() or {5, 6}
    while True:
        wall += DAY
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if wall.weekday() not in rest and kept_out.blocked_until(moment, zone) is None:
            return moment


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
@pytest.mark.parametrize("kept_out", MOVING, ids=str)
def test_what_a_calendar_leaves_out_is_moved(trigger, kept_out):
    """With shift, it happens at its wall time on the next working day; equal instants collapse."""
    moved = trigger.excluding(kept_out, shift="next_working_day", tz="America/New_York")
    zone = ZoneInfo(moved.tz)
    expected = set()
    for fire in fires(trigger, SPAN[0] - 20 * DAY, SPAN[1]):
        if kept_out.blocked_until(fire, zone) is None:
            expected.add(fire)
        else:
            expected.add(next_free(kept_out, trigger.wall_at(fire, zone), zone))
    assert fires(moved, *SPAN) == sorted(m for m in expected if SPAN[0] < m <= SPAN[1])


@given(st.integers(0, 90 * 86_400), st.sampled_from(TRIGGERS), st.sampled_from(MOVING))
@settings(max_examples=150, deadline=None)
def test_any_instant_gets_the_same_answer_as_walking(second, trigger, kept_out):
    """Asking from the middle gives what walking from the start gives."""
    moved = trigger.excluding(kept_out, shift="next_working_day", tz="Europe/Madrid")
    moment = utc("2026-01-10T00:00") + timedelta(seconds=second)
    walked = fires(moved, moment - 10 * DAY, moment + 40 * DAY)
    assert moved.next_after(moment) == next(f for f in walked if f > moment)


def test_a_monday_holiday():
    """The textbook case: weekdays at nine, Epiphany on a Tuesday; Saturday runs move to Monday."""
    nine = cron("0 9 * * *", tz="Europe/Madrid")
    dropped = nine.excluding(weekends(), holidays("ES"))
    assert [f.day for f in fires(dropped, "2026-01-02T12:00", "2026-01-09")] == [5, 7, 8]
    monthly = cron("0 9 1 * *", tz="Europe/Madrid")
    moved = monthly.excluding(weekends(), holidays("ES"), shift="next_working_day")
    days = [f"{f:%m-%d}" for f in fires(moved, "2025-12-31", "2026-06-02")]
    assert days == ["01-02", "02-02", "03-02", "04-01", "05-04", "06-01"]


def test_a_holiday_on_friday_moves_past_the_weekend():
    """A working day is no day of rest, though the calendar names only the holiday."""
    fridays = cron("0 9 * * 5", tz="Europe/Madrid")
    moved = fridays.excluding(dates("2026-05-01"), shift="next_working_day")
    assert shown(fires(moved, "2026-04-25", "2026-05-09")) == [
        "2026-05-04T07:00:00Z",
        "2026-05-08T07:00:00Z",
    ]


def test_a_shifted_occurrence_keeps_its_own_wall_time_when_it_moves():
    """Sunday's 02:30, which the clock change made 03:30, is 02:30 again on Monday."""
    nightly = cron("30 2 * * *", tz="America/New_York")
    moved = nightly.excluding(weekends(), shift="next_working_day")
    assert shown(fires(moved, "2026-03-06T12:00", "2026-03-10T00:00")) == ["2026-03-09T06:30:00Z"]


def test_names_are_looked_up_when_bound_and_again_later():
    """A named calendar comes from the store; binding again takes the newer version."""
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


def test_whose_day_it_is():
    """The trigger's zone says which day it is; an interval takes the job's."""
    hourly = every(hours=1, anchor=utc("2026-01-01T00:00")).excluding(weekends())
    tokyo = hourly.bind(tz="Asia/Tokyo")
    assert tokyo.tz == "Asia/Tokyo"
    assert tokyo.next_after(utc("2026-01-02T14:00")) == utc("2026-01-04T15:00")
    assert hourly.next_after(utc("2026-01-02T14:00")) == utc("2026-01-02T15:00")
    assert tokyo.bind(tz="UTC") == tokyo


def test_bounded_search():
    """When nothing is left, the search ends soon, with an error that says so."""
    saturdays = cron("0 9 * * sat", tz="UTC").excluding(weekends())
    with pytest.raises(TriggerError, match="every occurrence until"):
        saturdays.next_after(SPAN[0])
    never = cron("0 9 * * *").excluding(closed_hours("08:00", "10:00"), shift="next_working_day")
    with pytest.raises(TriggerError, match="no working day within"):
        never.next_after(SPAN[0])
    assert at(SPAN[0]).excluding(weekends()).next_after(SPAN[1]) is None


@pytest.mark.parametrize("item", CALENDARS, ids=str)
def test_calendars_round_trip(item):
    """A calendar is stored as JSON and read back equal."""
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
        lambda: cron("0 9 * * *").excluding(),
        lambda: cron("0 9 * * *").excluding(5),  # type: ignore[arg-type]
        lambda: cron("0 9 * * *").excluding(""),
        lambda: cron("0 9 * * *").excluding(weekends(), shift="previous"),
        lambda: cron("0 9 * * *").excluding(weekends(), tz="Mars/Base"),
    ],
)
def test_wrong_calendars_are_refused(make):
    """What makes no calendar is refused when it is made."""
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
def test_bad_data_is_a_trigger_error(data):
    """Whatever stands in the database, reading it fails in one way only."""
    with pytest.raises(TriggerError):
        decode_calendar(json.dumps(data))
    trigger = {"kind": "excluding", "trigger": cron("* * * * *").to_json(), "calendar": data}
    with pytest.raises(TriggerError):
        decode(json.dumps(trigger))


def test_deep_data_is_refused():
    """Calendars within calendars are bounded."""
    data = weekends().to_json()
    for _ in range(30):
        data = {"kind": "union", "calendars": [data]}
    with pytest.raises(TriggerError, match="20 deep"):
        decode_calendar(json.dumps(data))


def test_a_missing_package_is_named(monkeypatch):
    """Without the optional package the error says what to install."""
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(TriggerError, match="pip install holidays"):
        holidays("IS")  # no other test has asked for it yet: tables are cached


def test_words():
    """A person reads what is left out."""
    nine = cron("0 9 * * *", tz="UTC")
    assert str(nine.excluding(weekends(), holidays("ES", "MD"))) == (
        "at 09:00, UTC; except weekends and public holidays of ES-MD"
    )
    assert str(nine.excluding("bridge days", shift="next_working_day")) == (
        "at 09:00, UTC; moved to the next working day on calendar 'bridge days'"
    )
    assert repr(any_of(nine, at(SPAN[0])).excluding(dates("12-24"))).startswith("any_of(cron(")
