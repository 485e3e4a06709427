"""Triggers are values: pure, comparable, printable, storable."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.errors import NaiveDatetimeError, TriggerError
from duly.triggers import Cron, Trigger, at, cron, decode, encode, every
from tests.unit.triggers.helpers import cpu_seconds, fires, utc

EPOCH = utc("1970-01-01T00:00")
NAIVE = utc("2026-01-01T00:00").replace(tzinfo=None)
NOW = utc("2026-05-04T10:11:12.345678")
SAMPLES = [
    cron("0 9 * * 1-5"),
    cron("0 9 * * 1-5", tz="Europe/Madrid"),
    cron("30 2 * * *", tz="America/New_York", gap="first", fold="both"),
    cron("H H * * *").bind(job_id="report"),
    every(seconds=10),
    every(minutes=5, anchor=NOW),
    every(seconds=0.1),
    at(NOW),
]


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
def test_a_trigger_round_trips_through_json(trigger):
    """A decoded trigger is equal to the encoded one, with the same hash and repr."""
    text = encode(trigger)
    again = decode(text)
    assert again == trigger
    assert hash(again) == hash(trigger)
    assert repr(again) == repr(trigger)
    assert encode(again) == text
    assert again.next_after(NOW) == trigger.next_after(NOW)
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
def test_a_trigger_equals_its_copies(trigger):
    """Copying and pickling change nothing."""
    for again in (copy.copy(trigger), copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))):
        assert again == trigger
        assert again.next_after(NOW) == trigger.next_after(NOW)


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
def test_a_trigger_is_frozen(trigger):
    """No attribute can be set."""
    with pytest.raises(AttributeError):
        setattr(trigger, dataclasses.fields(trigger)[0].name, None)


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
def test_the_zone_of_the_moment_does_not_matter(trigger):
    """The same instant in another zone has the same next occurrence, in UTC."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    answer = trigger.next_after(elsewhere)
    assert answer == trigger.next_after(NOW)
    assert answer is None or answer.tzinfo is UTC


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
def test_a_naive_moment_is_rejected(trigger):
    """A datetime without a zone does not identify an instant."""
    with pytest.raises(NaiveDatetimeError):
        trigger.next_after(NAIVE)
    with pytest.raises(NaiveDatetimeError):
        trigger.due(NAIVE, NOW, keep=1)
    with pytest.raises(NaiveDatetimeError):
        trigger.due(NOW - timedelta(days=365), NAIVE, keep=1)


@given(st.integers(-(2**31), 2**32), st.sampled_from(SAMPLES))
@settings(max_examples=200, deadline=None)
def test_next_after_is_strictly_later_and_monotone(second, trigger):
    """The next fire is after the moment, and a later moment never has an earlier next fire."""
    moment = EPOCH + timedelta(seconds=second)
    answer = trigger.next_after(moment)
    if answer is not None:
        assert answer > moment
        assert trigger.next_after(answer - timedelta(microseconds=1)) == answer
        middle = moment + (answer - moment) / 2
        assert middle == answer or trigger.next_after(middle) == answer


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
@pytest.mark.parametrize("keep", [0, 1, 3])
def test_due_agrees_with_repeated_next_after(trigger, keep):
    """``due`` returns the count, the ends and the newest of the occurrences in (after, until]."""
    after = NOW - timedelta(minutes=7)
    until = after + timedelta(hours=30 if "seconds" not in str(trigger) else 1)
    found = fires(trigger, after, until)
    due = trigger.due(after, until, keep=keep, limit=36_001)
    assert due.count == len(found)
    assert (due.first, due.last) == ((found[0], found[-1]) if found else (None, None))
    assert due.newest == (tuple(found[-keep:]) if keep else ())
    assert due.complete


def test_due_of_an_interval_does_not_iterate():
    """A billion missed seconds are counted by arithmetic."""
    trigger = every(seconds=1, anchor=NOW)
    due = trigger.due(NOW, NOW + timedelta(seconds=10**9), keep=2)
    assert due.count == 10**9
    assert due.newest == (NOW + timedelta(seconds=10**9 - 1), NOW + timedelta(seconds=10**9))
    assert due.complete


def test_due_of_a_cron_does_not_iterate():
    """Ten years of missed seconds are counted, and the newest of them found, within 100 ms."""
    trigger = cron("* * * * * *", tz="America/New_York")
    due = trigger.due(NOW, NOW + timedelta(days=3650), keep=3)
    assert cpu_seconds(lambda: trigger.due(NOW, NOW + timedelta(days=3650), keep=3)) < 0.1
    until = (NOW + timedelta(days=3650)).replace(microsecond=0)
    assert due.count == 3650 * 86400
    assert due.newest == tuple(until - timedelta(seconds=n) for n in (2, 1, 0))
    assert due.complete


def test_every_is_arithmetic_on_instants():
    """24 hours are 24 hours, whatever the wall clock does."""
    start = utc("2026-03-07T09:00-05:00")
    assert every(days=1, anchor=start).next_after(start) == utc("2026-03-08T10:00-04:00")
    year_before = start - timedelta(days=365)
    assert every(days=2, anchor=start).next_after(year_before) == year_before + timedelta(days=1)
    assert every(minutes=5).next_after(NOW) == utc("2026-05-04T10:15:00")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": 1e-9},
        {"days": 1e12},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": "5"},
        {"minutes": True},
    ],
    ids=str,
)
def test_an_interval_must_be_a_valid_duration(wrong):
    """Zero, negative, oversized and non-numeric intervals are rejected."""
    with pytest.raises(TriggerError):
        every(**wrong)


def test_instants_need_a_zone():
    """A naive anchor or instant is rejected immediately."""
    with pytest.raises(NaiveDatetimeError):
        every(seconds=1, anchor=NAIVE)
    with pytest.raises(NaiveDatetimeError):
        at(NAIVE)
    with pytest.raises(TriggerError):
        at(cast(Any, "2026-01-01"))


def test_at_fires_once():
    """``at`` fires at its instant and never again."""
    assert at(NOW).next_after(NOW - timedelta(microseconds=1)) == NOW
    assert at(NOW).next_after(NOW) is None


def test_bind_fills_in_what_is_open_and_overrides_nothing():
    """Binding supplies only what the declaration leaves open."""

    def bound(trigger: Trigger) -> Trigger:
        return trigger.bind(job_id="a", tz="Europe/Madrid", anchor=NOW)

    assert bound(cron("0 9 * * *")) == cron("0 9 * * *", tz="Europe/Madrid")
    assert bound(cron("0 9 * * *", tz="UTC")) == cron("0 9 * * *", tz="UTC")
    assert bound(every(seconds=5)) == every(seconds=5, anchor=NOW)
    earlier = every(seconds=5, anchor=NOW - timedelta(days=1))
    assert bound(earlier) == earlier
    assert bound(at(NOW)) == at(NOW)
    hashed = bound(cron("H 3 * * *"))
    assert isinstance(hashed, Cron)
    assert hashed.job_id == "a"
    assert hashed.bind(job_id="b", tz="UTC") == hashed


@pytest.mark.parametrize("trigger", SAMPLES, ids=str)
def test_the_ends_of_the_calendar_raise_nothing(trigger):
    """In the years 1 and 9999 the next fire is an instant or None."""
    low, high = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    first = trigger.next_after(low)
    assert first is not None
    assert first > low
    assert trigger.next_after(high) is None


INVALID = [
    "",
    "[]",
    "null",
    "5",
    "{}",
    '{"kind":"os.system"}',
    '{"kind":5}',
    '{"kind":["cron"]}',
    '{"kind":"cron"}',
    '{"kind":"cron","expression":5}',
    '{"kind":"cron","expression":"* * * * *","tz":5}',
    '{"kind":"cron","expression":"* * * * *","zone":"UTC"}',
    '{"kind":"cron","expression":"* * * * *","_wall":"x"}',
    '{"kind":"cron","expression":"* * * * *","tz":"Mars/Base"}',
    '{"kind":"every"}',
    '{"kind":"every","seconds":"5"}',
    '{"kind":"every","seconds":1e999}',
    '{"kind":"every","seconds":5,"anchor":"2026-01-01"}',
    '{"kind":"every","seconds":5,"anchor":"2026-01-01T00:00:00"}',
    '{"kind":"at","instant":5}',
    '{"kind":"at","instant":"tomorrow"}',
    "[" * 5000,
    '{"kind":"at","instant":"' + "9" * 70_000 + '"}',
]


@pytest.mark.parametrize("text", INVALID, ids=lambda t: t[:40])
def test_invalid_data_raises_a_trigger_error(text):
    """Whatever the database contains, reading it raises nothing but a TriggerError."""
    with pytest.raises(TriggerError) as caught:
        decode(text)
    assert len(str(caught.value)) < 300


def test_decoding_is_cached():
    """Equal text decodes to the same object."""
    text = encode(every(seconds=3, anchor=NOW))
    assert decode(text) is decode(text)


def test_crontab_and_wall_clock():
    """A cron has a crontab expression and depends on a zone; the other samples do not."""
    assert cron("@daily").crontab == "0 0 * * *"
    assert cron("@daily").wall_clock
    assert every(seconds=1).crontab is None
    assert not every(seconds=1).wall_clock
    assert not at(NOW).wall_clock
