"""A trigger can be written as a person would."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from duly import at, cron, every, rrule
from duly.errors import NaiveDatetimeError, TriggerError
from duly.triggers import Trigger, parse_trigger


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("0 9 * * mon-fri", cron("0 9 * * mon-fri")),
        ("  */10 * * * * *  ", cron("*/10 * * * * *")),
        ("@daily", cron("@daily")),
        ("every 5 minutes", every(minutes=5)),
        ("every minute", every(minutes=1)),
        ("Every Hour", every(hours=1)),
        ("every 1 h 30 min", every(minutes=90)),
        ("every 1h30m", every(minutes=90)),
        ("every 5 mins", every(minutes=5)),
        ("every 2 days, 3 hours and 1 second", every(days=2, hours=3, seconds=1)),
        ("every 1.5 hours", every(minutes=90)),
        ("every 10s", every(seconds=10)),
        ("every 2 weeks", every(weeks=2)),
        ("FREQ=DAILY;BYHOUR=9", rrule("FREQ=DAILY;BYHOUR=9")),
        ("rrule:freq=weekly", rrule("rrule:freq=weekly")),
        ("at 2026-12-24T18:00+01:00", at(datetime(2026, 12, 24, 17, tzinfo=UTC))),
    ],
)
def test_text_becomes_a_trigger(text: str, trigger: Trigger) -> None:
    """Expressions, intervals, rules and instants."""
    assert parse_trigger(text) == trigger


def test_a_zone_applies_to_wall_clocks() -> None:
    """The zone belongs to an expression or a rule; an interval has none."""
    assert parse_trigger("0 9 * * *", tz="Asia/Tokyo") == cron("0 9 * * *", tz="Asia/Tokyo")
    assert parse_trigger("FREQ=DAILY", tz="Asia/Tokyo") == rrule("FREQ=DAILY", tz="Asia/Tokyo")
    assert parse_trigger("every hour", tz="Asia/Tokyo") == every(hours=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write a cron expression"),
        ("noon", "write a cron expression"),
        ("every", "not an interval"),
        ("every 5", "not an interval"),
        ("every 5 parsecs", "not an interval"),
        ("every 0 minutes", "positive"),
        ("every 99999999999 weeks", "interval"),
        ("at noon", "not an instant"),
        ("0 25 * * *", "hour field"),
        ("FREQ=NEVER", "FREQ"),
        ("every " + "1 s " * 2000, "4096"),
        ("every " + "1" * 4000 + " s", "interval"),
        ("every " + "1 s " * 1000 + "!", "not an interval"),
    ],
)
def test_text_that_is_not_a_trigger_is_refused(text: str, message: str) -> None:
    """The message tells what to write."""
    with pytest.raises(TriggerError, match=message):
        parse_trigger(text)


def test_an_instant_needs_an_offset() -> None:
    """A time without one is not an instant."""
    with pytest.raises(NaiveDatetimeError):
        parse_trigger("at 2026-12-24T18:00")
