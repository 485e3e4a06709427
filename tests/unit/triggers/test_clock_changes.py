"""Every row of the table "Expected fires" in the design of triggers."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from duly.triggers import cron, every
from tests.unit.triggers.helpers import fires, shown, utc

NEW_YORK, LONDON, LORD_HOWE = "America/New_York", "Europe/London", "Australia/Lord_Howe"
APIA = "Pacific/Apia"

ONCE = [
    (NEW_YORK, "30 2 * * *", "2026-03-08", ["2026-03-08T07:30:00Z"]),
    (NEW_YORK, "30 1 * * *", "2026-11-01", ["2026-11-01T05:30:00Z"]),
    (LONDON, "30 1 * * *", "2026-03-29", ["2026-03-29T01:30:00Z"]),
    (LONDON, "30 1 * * *", "2026-10-25", ["2026-10-25T00:30:00Z"]),
    (LORD_HOWE, "15 2 * * *", "2026-10-04", ["2026-10-03T15:45:00Z"]),
    (LORD_HOWE, "45 1 * * *", "2026-04-05", ["2026-04-04T14:45:00Z"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-02-15", ["2026-02-15T01:30:00Z"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-03-22", ["2026-03-22T02:30:00Z"]),
    ("Asia/Kathmandu", "30 2 * * *", "2026-03-08", ["2026-03-07T20:45:00Z"]),
    ("America/Sao_Paulo", "0 0 * * *", "2018-11-04", ["2018-11-04T03:00:00Z"]),
    ("America/Sao_Paulo", "30 23 * * *", "2019-02-16", ["2019-02-17T01:30:00Z"]),
]


@pytest.mark.parametrize(("zone", "text", "day", "expected"), ONCE)
def test_a_daily_job_fires_once_on_the_day_of_a_clock_change(zone, text, day, expected):
    """A daily job runs once on the day of a clock change, at the time that the table lists."""
    trigger = cron(text, tz=zone)
    noon, two_days = utc(f"{day}T12:00"), timedelta(days=2)
    found = [
        moment
        for moment in fires(trigger, noon - two_days, noon + two_days)
        if f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d}" == day
    ]
    assert shown(found) == expected


HOURLY = [
    # zone, text, the local day as instants (after, until], how many, odd interval in minutes
    (NEW_YORK, "0 * * * *", ("2026-03-08T04:59Z", "2026-03-09T03:59Z"), 23, 60),
    (NEW_YORK, "0 * * * *", ("2026-11-01T03:59Z", "2026-11-02T04:59Z"), 25, 60),
    (LORD_HOWE, "15 * * * *", ("2026-10-03T13:29Z", "2026-10-04T12:59Z"), 23, 90),
    (LORD_HOWE, "45 * * * *", ("2026-04-04T12:59Z", "2026-04-05T13:29Z"), 25, 30),
    (LORD_HOWE, "0 * * * *", ("2026-04-04T12:59Z", "2026-04-05T13:29Z"), 24, 90),
]


@pytest.mark.parametrize(("zone", "text", "day", "count", "odd"), HOURLY)
def test_an_hourly_job_fires_in_every_real_hour(zone, text, day, count, odd):
    """An hourly job skips no real hour and repeats none when the clock changes (rule R2)."""
    found = fires(cron(text, tz=zone), *day)
    gaps = {(b - a).total_seconds() / 60 for a, b in pairwise(found)}
    assert len(found) == count
    assert gaps == {60, odd}


def test_hourly_in_new_york_skips_the_missing_hour_and_fires_in_both_passes_of_the_repeated_one():
    """01:00-05 is followed by 03:00-04 in spring; 01:00 fires at -04 and at -05 in autumn."""
    hourly = cron("0 * * * *", tz=NEW_YORK)
    assert shown(fires(hourly, "2026-03-08T05:30Z", "2026-03-08T07:30Z")) == [
        "2026-03-08T06:00:00Z",
        "2026-03-08T07:00:00Z",
    ]
    assert shown(fires(hourly, "2026-11-01T04:30Z", "2026-11-01T06:30Z")) == [
        "2026-11-01T05:00:00Z",
        "2026-11-01T06:00:00Z",
    ]


def test_a_missing_day_collapses_into_the_next():
    """Apia skipped 30 December 2011: the runs of that day and of the 31st are one run."""
    daily = cron("0 9 * * *", tz=APIA)
    assert shown(fires(daily, "2011-12-29T12:00Z", "2011-12-31T12:00Z")) == [
        "2011-12-29T19:00:00Z",
        "2011-12-30T19:00:00Z",
    ]
    fridays = cron("0 9 * * 5", tz=APIA)
    assert shown(fires(fridays, "2011-12-29T12:00Z", "2012-01-01T12:00Z")) == [
        "2011-12-30T19:00:00Z"
    ]
    hourly = cron("0 * * * *", tz=APIA)
    assert shown(fires(hourly, "2011-12-30T08:30Z", "2011-12-30T10:30Z")) == [
        "2011-12-30T09:00:00Z",
        "2011-12-30T10:00:00Z",
    ]


POLICIES = [
    ("30 2 * * *", {"gap": "shift"}, "2026-03-08T00:00Z", ["2026-03-08T07:30:00Z"]),
    ("30 2 * * *", {"gap": "first"}, "2026-03-08T00:00Z", ["2026-03-08T07:00:00Z"]),
    ("30 2 * * *", {"gap": "skip"}, "2026-03-08T00:00Z", []),
    ("30 1 * * *", {"fold": "first"}, "2026-11-01T00:00Z", ["2026-11-01T05:30:00Z"]),
    ("30 1 * * *", {"fold": "last"}, "2026-11-01T00:00Z", ["2026-11-01T06:30:00Z"]),
    (
        "30 1 * * *",
        {"fold": "both"},
        "2026-11-01T00:00Z",
        ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"],
    ),
    # Equal instants collapse (rule R5), and shifted runs come in the order of real time.
    ("0 2,3 * * *", {}, "2026-03-08T00:00Z", ["2026-03-08T07:00:00Z"]),
    ("15,45 2,3 * * *", {}, "2026-03-08T00:00Z", ["2026-03-08T07:15:00Z", "2026-03-08T07:45:00Z"]),
    (
        "45 2 8 * *",
        {},
        "2026-03-08T00:00Z",
        ["2026-03-08T07:45:00Z"],
    ),
    ("0,30 2 * * *", {"gap": "first"}, "2026-03-08T00:00Z", ["2026-03-08T07:00:00Z"]),
    # Interval-like by its seconds: real instants only, so the policies have nothing to decide.
    ("* 30 2 * * *", {}, "2026-03-08T00:00Z", []),
]


@pytest.mark.parametrize(("text", "policy", "after", "expected"), POLICIES)
def test_gap_and_fold_policies(text, policy, after, expected):
    """``gap=`` applies to missing wall times (rule R3), ``fold=`` to repeated ones (rule R4)."""
    until = after.replace("T00", "T23")
    assert shown(fires(cron(text, tz=NEW_YORK, **policy), after, until)) == expected


def test_every_counts_real_days():
    """A day of `every` is 24 hours, even if the clocks change in between (rule R1)."""
    daily = every(days=1, anchor=utc("2026-03-07T07:00"))
    assert shown(fires(daily, "2026-03-07T12:00Z", "2026-03-09T12:00Z")) == [
        "2026-03-08T07:00:00Z",
        "2026-03-09T07:00:00Z",
    ]


def test_both_passes_of_a_repeated_hour_are_different_instants():
    """Python compares these two datetimes of one zone as equal; a trigger does not (rule R6)."""
    first = datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo(NEW_YORK))
    second = first.replace(fold=1)
    assert first == second
    hourly = cron("0 * * * *", tz=NEW_YORK)
    assert hourly.next_after(first) == utc("2026-11-01T06:00")
    assert hourly.next_after(second) == utc("2026-11-01T07:00")
