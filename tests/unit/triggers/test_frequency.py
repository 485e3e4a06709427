"""The frequency language of the alert system: section 3.2 of its description, rule by rule."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest

from duly.errors import FrequencyError, TriggerError
from duly.triggers import decode, encode, every, frequency
from tests.unit.triggers.helpers import fires, shown, utc

PACIFIC = ZoneInfo("America/Los_Angeles")


def locals_of(rule, after, until):
    """Return the fires in Los Angeles time, as text."""
    found = fires(frequency(rule), f"{after}T12:00", f"{until}T12:00")
    return [f"{moment.astimezone(PACIFIC):%a %m-%d %H:%M}" for moment in found]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"type": "daily", "time": "09:00"}, "0 9 * * *"),
        ({"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5]}, "0 10 * * 1,3,5"),
        ({"type": "weekly", "time": "10:00", "dayOfWeek": [7, 0]}, "0 10 * * 0"),
        ({"type": "monthly", "time": "08:00", "dayOfMonth": [1, 15]}, "0 8 1,15 * *"),
        ({"type": "monthly", "time": "08:00", "dayOfMonth": 31}, "0 8 L * *"),
        ({"type": "monthly", "time": "08:00", "dayOfMonth": [30, 31]}, "0 8 30,L * *"),
        ({"type": "monthly", "time": "08:00", "dayOfMonth": 30}, None),
        ({"type": "monthly", "time": "08:00", "dayOfMonth": 31, "monthEnd": "skip"}, "0 8 31 * *"),
        ({"type": "hourly", "time": "00:30"}, "30 * * * *"),
        ({"type": "cron", "expression": "*/5  9-17 * * 1-5"}, "*/5 9-17 * * 1-5"),
        ({"type": "interval", "every_minutes": 30}, None),
        ({"type": "once", "at": "2026-05-01T09:00:00+02:00"}, None),
        ({"type": "daily", "times": ["18:00", "09:00"]}, "0 9,18 * * *"),
        ({"type": "daily", "times": ["18:00", "09:30"]}, None),
        ({"type": "monthly", "time": "10:00", "dayOfWeek": 2, "weekOfMonth": 2}, "0 10 * * 2#2"),
        ({"type": "weekly", "time": "10:00", "dayOfWeek": 5, "weekOfMonth": "last"}, "0 10 * * 5L"),
        ({"type": "daily", "time": "09:00", "months": [6, 7]}, "0 9 * 6,7 *"),
        ({"type": "daily", "time": "09:00", "excludeDates": ["2026-12-25"]}, None),
    ],
)
def test_equivalent_crontab(rule, text):
    """A frequency has a crontab expression exactly if an equivalent one exists."""
    trigger = frequency(rule)
    assert trigger.crontab == text
    if text:
        from duly.triggers import cron

        span = utc("2026-01-01T12:00"), utc("2027-03-01T12:00")
        assert fires(trigger, *span) == fires(cron(text, tz="America/Los_Angeles"), *span)


def test_every_listed_weekday_counts():
    """Monday, Wednesday and Friday fire: not only the first (F1), and never a Tuesday (F2)."""
    rule = {"type": "weekly", "time": "10:00", "dayOfWeek": [5, 3, 1, 1]}
    assert locals_of(rule, "2026-01-04", "2026-01-11") == [
        "Mon 01-05 10:00",
        "Wed 01-07 10:00",
        "Fri 01-09 10:00",
    ]


def test_every_listed_day_of_the_month_counts():
    """The 1st and the 15th both fire (F1)."""
    rule = {"type": "monthly", "time": "08:00", "dayOfMonth": [15, 1]}
    assert locals_of(rule, "2025-12-31", "2026-02-20") == [
        "Thu 01-01 08:00",
        "Thu 01-15 08:00",
        "Sun 02-01 08:00",
        "Sun 02-15 08:00",
    ]


def test_a_day_that_the_month_does_not_have():
    """31 is the last day of shorter months, once if days coincide, never with "skip" (F3)."""
    rule = {"type": "monthly", "time": "08:00", "dayOfMonth": [31]}
    days = [text[4:9] for text in locals_of(rule, "2026-01-15", "2026-06-15")]
    assert days == ["01-31", "02-28", "03-31", "04-30", "05-31"]
    assert locals_of(rule, "2028-02-15", "2028-03-15") == ["Tue 02-29 08:00"]
    both = {"type": "monthly", "time": "08:00", "dayOfMonth": [30, 31]}
    days = [text[4:9] for text in locals_of(both, "2026-02-15", "2026-05-15")]
    assert days == ["02-28", "03-30", "03-31", "04-30"]
    skipped = {**both, "monthEnd": "skip"}
    days = [text[4:9] for text in locals_of(skipped, "2026-02-15", "2026-05-15")]
    assert days == ["03-30", "03-31", "04-30"]


def test_hourly_uses_the_minute_of_the_local_clock():
    """An hourly frequency fires every real hour, with a warning if it names an hour (F4, F5)."""
    half = frequency({"type": "hourly", "time": "00:30"})
    assert len(fires(half, "2026-11-01T06:59Z", "2026-11-02T07:59Z")) == 25
    assert len(fires(half, "2026-03-08T07:59Z", "2026-03-09T06:59Z")) == 23
    assert half.warnings == ()
    odd = frequency({"type": "hourly", "time": "03:30"})
    assert "uses only the minute" in odd.warnings[0]
    assert odd.next_after(utc("2026-01-01")) == half.next_after(utc("2026-01-01"))
    india = frequency({"type": "hourly", "time": "00:00", "timezone": "Asia/Kolkata"})
    assert india.next_after(utc("2026-01-01")) == utc("2026-01-01T00:30")


def test_clock_changes():
    """A time in the spring gap shifts forward; one in the autumn fold runs once, first (F5)."""
    gap = frequency({"type": "daily", "time": "02:30"})
    assert shown(fires(gap, "2026-03-08T08:00", "2026-03-09T08:00")) == ["2026-03-08T10:30:00Z"]
    fold = frequency({"type": "daily", "time": "01:30"})
    assert shown(fires(fold, "2026-11-01T07:00", "2026-11-02T07:00")) == ["2026-11-01T08:30:00Z"]


def test_the_daily_example():
    """09:00 Pacific is 16:00 UTC in October and 17:00 UTC in December."""
    daily = frequency({"type": "daily", "time": "09:00", "timezone": "America/Los_Angeles"})
    assert daily.next_after(utc("2026-10-14")) == utc("2026-10-14T16:00")
    assert daily.next_after(utc("2026-12-14")) == utc("2026-12-14T17:00")


def test_optional_keys():
    """Several times a day, weeks of the month, months, excluded dates, first and last day."""
    rule = {"type": "daily", "times": ["18:00", "09:00"], "excludeDates": ["2026-01-02"],
            "startDate": "2026-01-01", "endDate": "2026-01-03"}  # fmt: skip
    expected = ["Thu 01-01 09:00", "Thu 01-01 18:00", "Sat 01-03 09:00", "Sat 01-03 18:00"]
    assert locals_of(rule, "2025-12-20", "2026-02-01") == expected
    assert frequency(rule).next_after(utc("2026-01-04T02:00")) is None
    due = frequency(rule).due(utc("2025-01-01"), utc("2027-01-01"), keep=1)
    assert (due.count, due.newest) == (4, (utc("2026-01-04T02:00"),))
    second = {"type": "monthly", "time": "10:00", "dayOfWeek": 2, "weekOfMonth": 2, "months": [2]}
    assert locals_of(second, "2026-01-01", "2027-12-31") == ["Tue 02-10 10:00", "Tue 02-09 10:00"]


def test_interval_and_once():
    """An interval starts from its anchor, or else from the job's; a single run ends."""
    half = frequency({"type": "interval", "every_minutes": 30})
    bound = half.bind(anchor=utc("2026-01-01T00:07"))
    assert bound.next_after(utc("2026-01-01T00:07")) == utc("2026-01-01T00:37")
    assert bound.bind(anchor=utc("2026-01-01")) == bound
    fixed = {"type": "interval", "every_minutes": 30, "anchor": "2026-01-01T01:07:00+01:00"}
    assert frequency(fixed) == bound
    due = bound.due(utc("2026-01-01"), utc("2027-01-01"), keep=1)
    assert due == every(minutes=30, anchor=utc("2026-01-01T00:07")).due(
        utc("2026-01-01"), utc("2027-01-01"), keep=1
    )
    once = frequency({"type": "once", "at": "2026-05-01T09:00:00+02:00"})
    assert once.next_after(utc("2026-01-01")) == utc("2026-05-01T07:00")
    assert once.next_after(utc("2026-05-01T07:00")) is None
    assert once.wall_clock is False


WRONG = [
    # rule, the field that the error names
    ({}, "type"),
    ({"type": "fortnightly"}, "type"),
    ({"type": 5}, "type"),
    ({"type": "daily", "time": "24:00"}, "time"),
    ({"type": "daily", "time": "9:00"}, "time"),
    ({"type": "daily", "time": "09:60"}, "time"),
    ({"type": "daily", "time": "\u0660\u0669:00"}, "time"),
    ({"type": "daily", "time": 900}, "time"),
    ({"type": "daily"}, "time"),
    ({"type": "daily", "time": "09:00", "dayOfWeek": [1]}, "dayOfWeek"),
    ({"type": "daily", "time": "09:00", "tiem": 1}, "tiem"),
    ({"type": "daily", "time": "09:00", "timezone": "Mars/Base"}, "timezone"),
    ({"type": "daily", "time": "09:00", "timezone": None}, "timezone"),
    ({"type": "daily", "time": "09:00", "times": ["10:00"]}, "times"),
    ({"type": "daily", "times": []}, "times"),
    ({"type": "weekly", "time": "09:00"}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": []}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": [8]}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": [-1]}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": ["mon"]}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": [True]}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": [1.0]}, "dayOfWeek"),
    ({"type": "weekly", "time": "09:00", "dayOfWeek": [1] * 1000}, "dayOfWeek"),
    ({"type": "monthly", "time": "09:00", "dayOfMonth": [0]}, "dayOfMonth"),
    ({"type": "monthly", "time": "09:00", "dayOfMonth": [32]}, "dayOfMonth"),
    ({"type": "monthly", "time": "09:00"}, "dayOfMonth"),
    ({"type": "monthly", "time": "09:00", "dayOfMonth": 1, "dayOfWeek": 1}, "dayOfWeek"),
    ({"type": "monthly", "time": "09:00", "dayOfMonth": 1, "monthEnd": "x"}, "monthEnd"),
    ({"type": "monthly", "time": "09:00", "dayOfWeek": 1, "weekOfMonth": 6}, "weekOfMonth"),
    ({"type": "cron", "expression": "61 * * * *"}, "expression"),
    ({"type": "cron", "expression": "* * * * * *"}, "expression"),
    ({"type": "cron", "expression": None}, "expression"),
    ({"type": "interval", "every_minutes": 4}, "every_minutes"),
    ({"type": "interval", "every_minutes": 5.5}, "every_minutes"),
    ({"type": "interval", "every_minutes": 5, "anchor": "2026-01-01T00:00"}, "anchor"),
    ({"type": "once", "at": "tomorrow"}, "at"),
    ({"type": "daily", "time": "09:00", "startDate": "2026-02-30"}, "startDate"),
    ({"type": "daily", "time": "09:00", "startDate": "2026-02-01", "endDate": "2026-01-01"},
     "endDate"),
    ({"type": "daily", "time": "09:00", "excludeDates": "2026-01-01"}, "excludeDates"),
    ({"type": "monthly", "time": "09:00", "dayOfMonth": 31, "months": 2, "monthEnd": "skip"},
     "type"),
    ([], "frequency"),
    ("daily", "frequency"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "field"), WRONG, ids=str)
def test_an_error_names_the_invalid_key(rule, field):
    """The error carries the invalid key, so that an API can point at it."""
    with pytest.raises(FrequencyError) as caught:
        frequency(rule)
    assert caught.value.field == field
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"type": "weekly", "time": "09:00", "dayOfWeek": [1, 9]},
         "dayOfWeek[1]: 9 is not a day of the week; give 0 to 7"),
        ({"type": "monthly", "time": "09:00", "dayOfMonth": [0]},
         "dayOfMonth[0]: 0 is not a day of the month; give 1 to 31"),
        ({"type": "daily", "times": ["09:00", "24:00"]},
         "times[1]: '24:00' is not a time from 00:00 to 23:59"),
        ({"type": "daily", "time": "24:00"}, "time: '24:00' is not a time from 00:00 to 23:59"),
        ({"type": "daily", "time": "09:00", "excludeDates": ["2026-01-01", "x"]},
         "excludeDates[1]: 'x' is not a date such as '2026-12-31'"),
    ],
)  # fmt: skip
def test_an_error_names_the_invalid_item_of_a_list(rule, problem):
    """The path has the position of the item, so that a form can point at it."""
    with pytest.raises(FrequencyError) as caught:
        frequency(rule)
    assert f"{caught.value.path}: {caught.value.problem}" == problem
    assert str(caught.value) == f"invalid frequency: {problem}"


def test_equivalent_frequencies_are_equal():
    """Order, duplicates, single values and the default zone make no difference."""
    one = frequency({"type": "weekly", "time": "10:00", "dayOfWeek": [5, 1, 1]})
    other = frequency({"dayOfWeek": (1, 5), "timezone": "America/Los_Angeles", "time": "10:00",
                       "type": "weekly"})  # fmt: skip
    assert one == other
    assert hash(one) == hash(other)
    single = frequency({"type": "weekly", "time": "10:00", "dayOfWeek": 1})
    assert single == frequency({"type": "weekly", "time": "10:00", "dayOfWeek": [1]})
    assert decode(encode(one)) == one


def test_invalid_stored_data_raises_a_trigger_error():
    """Reading an invalid stored frequency raises nothing but a TriggerError."""
    rules: list[object] = [5, [], {"type": "daily"}, {"type": "weekly", "time": "1"}]
    for rule in rules:
        with pytest.raises(TriggerError):
            decode(json.dumps({"kind": "frequency", "rule": rule}))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"type": "daily", "time": "09:00"}, "at 09:00 every day"),
        (
            {"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5]},
            "at 10:00 on Monday, Wednesday and Friday",
        ),
        (
            {"type": "monthly", "time": "08:00", "dayOfMonth": [1, 31]},
            "at 08:00 on the 1st and 31st of the month, or its last day",
        ),
        ({"type": "hourly", "time": "00:30"}, "at minute 30 of every hour"),
        (
            {"type": "monthly", "time": "10:00", "dayOfWeek": 2, "weekOfMonth": 2, "months": [6]},
            "at 10:00 on the 2nd Tuesday of the month in June",
        ),
    ],
)
def test_descriptions(rule, words):
    """The description does not assume knowledge of the keys."""
    assert frequency(rule).describe() == f"{words}, America/Los_Angeles time"


def test_descriptions_of_bounds_and_exclusions():
    """The first and last day and the excluded dates are described."""
    rule = {"type": "daily", "time": "09:00", "timezone": "UTC", "startDate": "2026-01-01",
            "endDate": "2026-06-30", "excludeDates": ["2026-05-01", "2026-05-02"]}  # fmt: skip
    assert frequency(rule).describe() == (
        "at 09:00 every day, UTC, from 2026-01-01, until 2026-06-30, except on 2 days"
    )
    assert frequency({"type": "interval", "every_minutes": 30}).describe() == "every 30 minutes"


def test_the_ends_of_the_calendar_raise_nothing():
    """In the years 1 and 9999 the next fire is an instant or None."""
    daily = frequency({"type": "daily", "time": "09:00"})
    assert daily.next_after(utc("0001-01-01")) is not None
    assert daily.next_after(utc("9999-12-31T23:00")) is None
    late = frequency({"type": "daily", "time": "09:00", "endDate": "9999-12-31"})
    assert late.next_after(utc("2026-01-01")) == utc("2026-01-01T17:00")
