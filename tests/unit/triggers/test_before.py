"""Whole days before an event, counted on the wall clock (rule R8)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.errors import NaiveDatetimeError, TriggerError
from duly.triggers import at, before, decode, encode
from tests.unit.triggers.helpers import shown, utc

NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = "Australia/Lord_Howe"
PARTY = datetime(2026, 11, 4, 18, tzinfo=NEW_YORK)
ZONES = ["America/New_York", LORD_HOWE, "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu"]
YEARS = date(1970, 1, 1), date(2036, 1, 1)
CHANGES = [
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    (LORD_HOWE, date(2026, 10, 4)),
    (LORD_HOWE, date(2026, 4, 5)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Africa/Casablanca", date(2026, 3, 22)),
]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (PARTY, ["2026-10-28T22:00:00Z", "2026-11-01T23:00:00Z", "2026-11-03T23:00:00Z"]),
        (
            datetime(2025, 12, 25, 18, tzinfo=NEW_YORK),
            ["2025-12-18T23:00:00Z", "2025-12-22T23:00:00Z", "2025-12-24T23:00:00Z"],
        ),
    ],
    ids=["over a clock change", "in winter"],
)
def test_the_local_time_stays_although_the_clocks_change(event, expected):
    """Seven days before 18:00 it is 18:00, whatever the offset was then."""
    for moment in (event, event.astimezone(UTC)):
        found = [before(moment, days=days, tz="America/New_York") for days in (7, 3, 1)]
        assert shown([trigger.instant for trigger in found]) == expected


@pytest.mark.parametrize(
    ("zone", "event", "days", "expected"),
    [
        ("America/New_York", "2026-03-09T06:30:00", 1, "2026-03-08T07:30:00Z"),
        ("America/New_York", "2026-11-02T06:30:00", 1, "2026-11-01T05:30:00Z"),
        (LORD_HOWE, "2026-10-04T15:15:00", 1, "2026-10-03T15:45:00Z"),
        (LORD_HOWE, "2026-04-05T15:15:00", 1, "2026-04-04T14:45:00Z"),
        ("Pacific/Apia", "2011-12-30T19:00:00", 1, "2011-12-30T19:00:00Z"),
    ],
)
def test_gaps_shift_and_repeated_times_count_once(zone, event, days, expected):
    """A missing time moves by the length of the gap; of a repeated one, the first counts."""
    assert shown([before(utc(event), days=days, tz=zone).instant]) == [expected]


def test_a_time_of_day_replaces_that_of_the_event():
    """On the local day of the event, which UTC may already have left."""
    late = datetime(2026, 11, 4, 23, 30, tzinfo=NEW_YORK)
    for when in ("09:00", time(9)):
        trigger = before(late, days=7, at=when, tz=NEW_YORK)
        assert shown([trigger.instant]) == ["2026-10-28T13:00:00Z"]
    assert before(late, days=0, at="09:00", tz=NEW_YORK) == at(late.replace(hour=9, minute=0))


@given(
    target=st.sampled_from(CHANGES) | st.tuples(st.sampled_from(ZONES), st.dates(*YEARS)),
    days=st.integers(0, 400),
    minute=st.integers(0, 180) | st.integers(0, 1439),
    hour=st.none() | st.integers(0, 3).map(time),
)
@settings(max_examples=400, deadline=None)
def test_it_agrees_with_zoneinfo(target, days, minute, hour):
    """The date goes back, the time stays, and zoneinfo resolves it, also where clocks change."""
    zone, day = ZoneInfo(target[0]), target[1]
    start = datetime.combine(day + timedelta(days=days), time(), zone)
    event = (start + timedelta(minutes=minute)).astimezone(UTC)
    there = event.astimezone(zone)
    day = date.fromordinal(there.toordinal() - days)
    expected = datetime.combine(day, hour or there.time()).replace(tzinfo=zone, fold=0)
    if expected.astimezone(UTC) > event:  # at hour, or shifted over a whole day in Apia
        with pytest.raises(TriggerError, match="after the event"):
            before(event, days=days, at=hour, tz=zone)
    else:
        assert before(event, days=days, at=hour, tz=zone) == at(expected.astimezone(UTC))


def test_it_is_the_instant_that_it_stands_for():
    """It is stored, printed and compared as `at` is."""
    trigger = before(PARTY, days=7, tz="America/New_York")
    assert repr(trigger) == "at('2026-10-28T22:00:00+00:00')"
    assert decode(encode(trigger)) == trigger == at(utc("2026-10-28T22:00:00"))


def test_on_the_day_itself():
    """No days before an event is its own time, or an earlier one of that day."""
    assert before(PARTY, days=0, tz=NEW_YORK) == at(PARTY)
    with pytest.raises(TriggerError, match=r"which is after the event, at\('2026-11-04T23:00"):
        before(PARTY, days=0, at="18:30", tz=NEW_YORK)


@pytest.mark.parametrize("days", [-1, 1.5, True, "7", None, timedelta(days=7)])
def test_days_are_whole(days):
    """Anything but a number of days is refused, in words."""
    with pytest.raises(TriggerError, match=r"before\(days=…\) must be a whole number from 0"):
        before(PARTY, days=days, tz="America/New_York")


@pytest.mark.parametrize("days", [10**6, 10**12])
def test_days_stay_within_the_calendar(days):
    """More days than there were is refused."""
    with pytest.raises(TriggerError, match="is before the year 1"):
        before(PARTY, days=days, tz="America/New_York")


def test_wrong_arguments_are_explained():
    """The message names the argument, and what to write."""
    with pytest.raises(NaiveDatetimeError, match=r"the event of before\(\) is the naive datetime"):
        before(PARTY.replace(tzinfo=None), days=7, tz="America/New_York")
    wrong: list[tuple[dict[str, object], str]] = [
        ({"event": "2026-11-04"}, "takes the event as an aware datetime"),
        ({"tz": "America/New_Yrok"}, "did you mean 'America/New_York'"),
        ({"tz": None}, "requires tz="),
        ({"at": "9:00"}, "'9:00' is not a valid time of day"),
        ({"at": ["09:00", "18:00"]}, "is not a valid time of day"),
        ({"weeks": 1}, "unknown option 'weeks' of before()"),
    ]
    for change, message in wrong:
        options: dict[str, object] = {"event": PARTY, "days": 7, "tz": "America/New_York", **change}
        with pytest.raises(TriggerError) as refused:
            before(**options)  # type: ignore[arg-type]
        assert message in str(refused.value)
    with pytest.raises(TriggerError, match="name the days and the zone"):
        before(PARTY, days=7)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "event", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)]
)
def test_the_ends_of_the_calendar_are_drawn_in(event):
    """As `at` draws them in."""
    assert before(event, days=0, tz="Asia/Tokyo") == at(event)
