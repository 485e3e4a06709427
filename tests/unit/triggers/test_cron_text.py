"""The syntax of cron expressions, and the errors of invalid ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.errors import CronError, DulyError, TriggerError
from duly.triggers import Trigger, cron, every
from tests.unit.triggers.helpers import cpu_seconds, fires, shown, utc

INVALID = [
    # expression, field, invalid part, position, an excerpt of the message
    ("61 * * * *", "minute", "61", 0, "'61' is not a valid minute: it must be between 0 and 59"),
    ("* 24 * * *", "hour", "24", 2, "midnight is hour 0"),
    ("* * 0 * *", "day-of-month", "0", 4, "not a valid day of the month"),
    ("* * 32 * *", "day-of-month", "32", 4, "between 1 and 31"),
    ("* * * 13 *", "month", "13", 6, "between 1 and 12"),
    ("* * * * 8", "day-of-week", "8", 8, "between 0 and 7"),
    ("1--100000000 * * * *", "minute", "1--100000000", 0, "single '-'"),
    ("1-100000000 * * * *", "minute", "1-100000000", 0, "between 0 and 59"),
    ("*/0 * * * *", "minute", "*/0", 0, "step of 0"),
    ("*/100000000 * * * *", "minute", "*/100000000", 0, "a minute field has 60 values"),
    ("5,,7 * * * *", "minute", "", 2, "comma"),
    ("50-10 * * * *", "minute", "50-10", 0, "write '50-59,0-10'"),
    ("* * * * fri-mon", "day-of-week", "fri-mon", 8, "write 'fri-sat,sun-mon'"),
    ("* * * * 5-0", "day-of-week", "5-0", 8, "write '5-6,0'"),
    ("* * * * mondy", "day-of-week", "mondy", 8, "did you mean 'mon'"),
    ("* * * juny *", "month", "juny", 6, "did you mean 'jun'"),
    ("* * ? * *", "day-of-month", "?", 4, "use '*' instead"),
    ("* * * * L", "day-of-week", "L", 8, "friL"),
    ("* * * * tue#6", "day-of-week", "tue#6", 8, "not a valid week of the month"),
    ("* * tue#2 * *", "day-of-month", "tue#2", 4, "only allowed in the day-of-week field"),
    ("* * * * 15W", "day-of-week", "15W", 8, "only allowed in the day-of-month field"),
    ("L * * * *", "minute", "L", 0, "not a valid minute; use a number from 0 to 59"),
    ("* * L-31 * *", "day-of-month", "L-31", 4, "between 0 and 30"),
    ("*-5 * * * *", "minute", "*-5", 0, "cannot start a range"),
    ("*/x * * * *", "minute", "*/x", 0, "whole number"),
    ("h * * * *", "minute", "h", 0, "'H' in upper case"),
    ("H(9-3) * * * *", "minute", "H(9-3)", 0, "H(3-9)"),
    ("* * 31 2 *", "day-of-month", "31", 4, "would never fire"),
    ("* * 31 4,6,9,11 *", "day-of-month", "31", 4, "would never fire"),
    ("0 0 30W 2 *", "day-of-month", "30W", 4, "would never fire"),
    ("٣ * * * *", None, "٣", 0, "ASCII"),
    ("* * * * \x00", None, "\x00", 8, "ASCII"),
    ("* * * *\n*", None, "\n", 7, "ASCII"),
    ("", None, "", 0, "empty"),
    ("* * * *", None, "*", 6, "4 fields"),
    ("* * * * * * *", None, "*", 12, "7 fields"),
    ("," * 10_000, None, "," * 9000, 1000, "longer than"),
    ("@dayly", None, "@dayly", 0, "did you mean '@daily'"),
    ("@every 5m", None, "@every", 0, "every("),
    ("@reboot", None, "@reboot", 0, "when the application starts"),
    ("@daily 5", None, "5", 7, "nothing may follow"),
]


@pytest.mark.parametrize(
    ("text", "field", "part", "position", "words"), INVALID, ids=lambda v: str(v)[:20]
)
def test_an_invalid_expression_is_rejected_precisely(text, field, part, position, words):
    """Within 10 ms, the error names field, part and position, and says what to write instead."""
    with pytest.raises(CronError, match=re.escape(words)) as caught:
        cron(text)
    error = caught.value
    assert (error.field, error.text, error.position) == (field, part, position)
    assert len(str(error)) < 400
    assert cpu_seconds(lambda: cron(text)) < 0.01


HOSTILE = [
    "9" * 900 + " * * * *",
    "*/" + "9" * 900 + " * * * *",
    "-".join("1" * 400) + " * * * *",
    "/".join("1" * 400) + " * * * *",
    "H(" * 300 + " * * * *",
    "#" * 900,
    "* " * 400,
    "L-" * 300 + " * * * *",
    "jan" * 300 + " * * * *",
    " ".join([",".join(["0-59/1"] * 40)] * 3) + " * *",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda v: v[:12])
def test_a_hostile_expression_is_rejected_quickly(text):
    """However an expression is built, reading it takes less than 10 ms."""
    assert cpu_seconds(lambda: cron(text)) < 0.01


@given(st.text(alphabet="0123456789*/-,LWH#()?@ ajnmosufri\t", max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_either_a_cron_that_fires_or_a_cron_error(text):
    """Any text raises a CronError or nothing, and every accepted expression fires."""
    position = 0
    try:
        fire = cron(text).next_after(utc("2026-01-01T00:00"))
    except CronError as error:
        position, fire = error.position, None
    else:
        assert fire is not None
    assert 0 <= position <= len(text)


@pytest.mark.parametrize("value", [None, 5, b"* * * * *", ["*"], {"a": 1}])
def test_an_expression_that_is_not_a_string_is_rejected(value):
    """Values of other types raise a DulyError."""
    with pytest.raises(DulyError):
        cron(value)


def test_sunday_is_both_0_and_7():
    """0, 7 and ``sun`` are the same day, even at the end of a range."""
    week = ("2026-01-01T00:00", "2026-02-01T00:00")
    sundays = fires(cron("0 0 * * 0"), *week)
    assert {f"{moment:%a}" for moment in sundays} == {"Sun"}
    assert fires(cron("0 0 * * 7"), *week) == fires(cron("0 0 * * sun"), *week) == sundays
    weekend = fires(cron("0 0 * * 6-7"), *week)
    assert fires(cron("0 0 * * sat-sun"), *week) == weekend == fires(cron("0 0 * * 0,6"), *week)


def test_six_fields_begin_with_seconds():
    """The first of six fields is the second."""
    found = fires(cron("*/20 5 9 * * *"), "2026-01-01T00:00", "2026-01-02T00:00")
    assert shown(found) == [f"2026-01-01T09:05:{s:02}Z" for s in (0, 20, 40)]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@Daily", "0 0 * * *"),
    ],
)
def test_keywords(word, text):
    """A keyword such as ``@daily`` equals the expression that it stands for."""
    assert cron(word) == cron(text)


def test_vixies_rule():
    """Either of two restricted day fields is enough; if one begins with ``*``, both must match."""
    january = ("2026-01-01T00:00", "2026-01-31T23:00")
    either = {moment.day for moment in fires(cron("0 12 13 * 5"), *january)}
    both = {moment.day for moment in fires(cron("0 12 */13 * 5"), *january)}
    assert either == {2, 9, 13, 16, 23, 30}
    assert both == set()
    assert {m.day for m in fires(cron("0 12 */2 * fri"), *january)} == {9, 23}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"hour": 9, "minute": 0, "day_of_week": "mon-fri"}, "0 9 * * mon-fri"),
        ({"hour": 9}, "0 9 * * *"),
        ({"minute": 30}, "30 * * * *"),
        ({"minute": "*/5", "hour": "9-17"}, "*/5 9-17 * * *"),
        ({"second": "*/10"}, "*/10 * * * * *"),
        ({"second": 0, "minute": 5}, "5 * * * *"),
        ({"day": "L"}, "0 0 L * *"),
        ({"month": 6, "day": 1, "hour": 8}, "0 8 1 6 *"),
        ({"day_of_week": "tue#3"}, "0 0 * * tue#3"),
        ({"month": "jan"}, "0 0 * jan *"),
    ],
)
def test_named_fields(fields, text):
    """Fields finer than the finest named one take their lowest value, the others match any."""
    assert cron(**fields) == cron(text)


@pytest.mark.parametrize("value", [0, 1, "1", "1-5", "0,6", "mon,3", "2#1"])
def test_a_weekday_number_among_named_fields_is_rejected(value):
    """Users of APScheduler, where Monday is 0, name fields: a weekday number would be a trap."""
    with pytest.raises(TriggerError, match="Sunday = 0, APScheduler from Monday = 0"):
        cron(hour=9, day_of_week=value)


def test_invalid_named_fields_are_rejected():
    """An unknown name or an invalid value raises an error that says what to write instead."""
    with pytest.raises(DulyError, match="did you mean 'minute'"):
        cron(minut=3)  # type: ignore[call-arg]
    with pytest.raises(TriggerError, match="not both"):
        cron("* * * * *", hour=3)
    with pytest.raises(TriggerError, match="needs an expression"):
        cron()
    with pytest.raises(TriggerError, match="an integer or a string"):
        cron(hour=True)
    with pytest.raises(TriggerError, match="without spaces"):
        cron(hour="3 4")


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "", "../etc/passwd", "/etc/passwd", "a" * 5000, "America"]
)
def test_an_unknown_zone_is_rejected(zone):
    """Only names of the tz database are accepted."""
    with pytest.raises(TriggerError, match="zone"):
        cron("* * * * *", tz=zone)


def test_a_misspelt_zone_is_corrected():
    """The error suggests the nearest zone."""
    with pytest.raises(TriggerError, match="did you mean 'Europe/Madrid'"):
        cron("* * * * *", tz="Europe/Madird")
    with pytest.raises(TriggerError, match="did you mean 'America/New_York'"):
        cron("* * * * *", tz="New York")


@pytest.mark.parametrize("wrong", [{"gap": "forward"}, {"fold": "second"}])
def test_an_unknown_policy_is_rejected(wrong):
    """The error lists the policies that exist."""
    with pytest.raises(TriggerError, match="must be one of"):
        cron("* * * * *", **wrong)


def test_triggers_of_different_kinds_are_unequal():
    """A trigger of one kind never equals one of another."""
    triggers: list[Trigger] = [cron("* * * * *"), every(minutes=1)]
    assert triggers[0] != triggers[1]
