"""The form of a trigger shows every trigger without loss, and reports problems at its inputs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly import at, calendar, cron, every, rrule
from duly.triggers import After, Every, Trigger, any_of, frequency, weekends
from duly.web.dashboard.forms.triggers import (
    KINDS,
    Place,
    TriggerProblem,
    read_trigger,
    trigger_texts,
)

MADRID = ZoneInfo("Europe/Madrid")
PLACE = Place("letter", MADRID, {"es": weekends("fri"), "closed": weekends()})
NOW = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)
NINE = cron("0 9 * * *")
INSTANTS = st.integers(0, 4_000_000_000_000_000).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)

SHOWN: list[tuple[Trigger, str]] = [
    (cron("0 9 * * mon-fri"), "cron"),
    (cron("H 9 * * *", tz="Asia/Tokyo", gap="skip", fold="both"), "cron"),
    (every(minutes=90), "every"),
    (every(weeks=2, anchor=NOW), "every"),
    (every(seconds=0.25), "every"),
    (calendar(months=1, at=["08:00", "17:30:15"], start="2026-01-31", missing="skip"), "calendar"),
    (calendar(days=2, tz="America/New_York", fold="last"), "calendar"),
    (at(NOW), "at"),
    (rrule("FREQ=MONTHLY;BYDAY=-1FR", start="2026-01-01T09:00", gap="first"), "rrule"),
    (After(("stock", "prices"), "failure"), "after"),
    (NINE.excluding("es"), "cron"),
    (NINE.excluding(weekends(), "es", "closed", shift="next_working_day"), "cron"),
    (every(hours=1).excluding("es", tz="Asia/Tokyo"), "every"),
    (NINE.excluding("es", weekends()), "text"),
    (any_of(NINE, every(hours=5)), "text"),
    (frequency({"type": "daily", "time": "10:00"}), "text"),
    (at(datetime(2026, 10, 25, 1, 30, tzinfo=UTC)), "text"),
]


@pytest.mark.parametrize(("trigger", "kind"), SHOWN, ids=lambda each: str(each)[:40])
def test_a_stored_trigger_is_shown_without_loss(trigger: Trigger, kind: str) -> None:
    """By its own inputs if they can show all of it; by its JSON otherwise."""
    stored = PLACE.bound(trigger, NOW)
    texts = trigger_texts(stored, PLACE)
    assert texts["trigger.kind"] == [kind]
    assert PLACE.bound(read_trigger(texts, PLACE)) == stored


@given(
    st.timedeltas(timedelta(microseconds=1), timedelta(days=3000)),
    INSTANTS,
)
def test_every_interval_is_shown_without_loss(period: timedelta, anchor: datetime) -> None:
    """Whatever its length is, down to microseconds."""
    stored = Every(period, anchor)
    assert read_trigger(trigger_texts(stored, PLACE), PLACE) == stored


@given(INSTANTS)
def test_every_instant_is_shown_without_loss(moment: datetime) -> None:
    """Also one in the second pass of an hour that occurs twice."""
    stored = at(moment)
    assert read_trigger(trigger_texts(stored, PLACE), PLACE) == stored


def typed(**parts: Any) -> dict[str, list[str]]:
    """Type into the blank form."""
    texts = trigger_texts(None, PLACE)
    given = {f"trigger.{name}": text for name, text in parts.items()}
    return {**texts, **{name: [t] if isinstance(t, str) else t for name, t in given.items()}}


@pytest.mark.parametrize(
    ("parts", "trigger"),
    [
        ({"cron": "0 9 * * *", "tz": "Asia/Tokyo"}, cron("0 9 * * *", tz="Asia/Tokyo")),
        ({"kind": "every", "every": "2.5", "unit": "hours"}, every(minutes=150)),
        ({"kind": "calendar", "count": "2", "days": "weeks", "times": "8:00"}, "times"),
        (
            {"kind": "calendar", "count": "2", "days": "weeks", "times": "08:00 17:30"},
            calendar(weeks=2, at=["08:00", "17:30"]),
        ),
        ({"kind": "at", "instant": "2026-12-24T18:00"}, at(datetime(2026, 12, 24, 17, tzinfo=UTC))),
        (
            {"kind": "at", "instant": "2026-12-24T18:00", "tz": "Asia/Tokyo"},
            at(datetime(2026, 12, 24, 9, tzinfo=UTC)),
        ),
        ({"kind": "after", "parents": ["stock", "", " prices "]}, After(("prices", "stock"))),
        ({"kind": "text", "text": "every 5 minutes"}, every(minutes=5)),
        ({"kind": "text", "text": '{"kind": "every", "seconds": 5}'}, every(seconds=5)),
        ({"cron": "0 9 * * *", "weekends": ["true"]}, NINE.excluding(weekends())),
        ({"kind": "none"}, "kind"),
        ({"cron": ""}, "cron"),
        ({"cron": "0 9 * * *", "tz": "Mars"}, "tz"),
        ({"kind": "every", "every": "x"}, "every"),
        ({"kind": "every", "every": "0"}, "every"),
        ({"kind": "every", "every": "1", "anchor": "noon"}, "anchor"),
        ({"kind": "calendar", "count": "x"}, "count"),
        ({"kind": "calendar", "count": "0"}, "count"),
        ({"kind": "calendar", "count": "1", "start": "today"}, "start"),
        ({"kind": "at", "instant": "noon"}, "instant"),
        ({"kind": "rrule", "rule": "FREQ=NEVER"}, "rule"),
        ({"kind": "rrule", "rule": "FREQ=DAILY", "rule_start": "noon"}, "rule_start"),
        ({"kind": "after", "parents": []}, "parents"),
        ({"kind": "text", "text": "{"}, "text"),
        ({"kind": "text", "text": ""}, "text"),
    ],
)
def test_what_was_typed(parts: dict[str, Any], trigger: Trigger | str) -> None:
    """It becomes a trigger, or a problem at the input that it is about."""
    if isinstance(trigger, Trigger):
        assert read_trigger(typed(**parts), PLACE) == trigger
        return
    with pytest.raises(TriggerProblem) as caught:
        read_trigger(typed(**parts), PLACE)
    assert caught.value.name == f"trigger.{trigger}"


def test_a_form_of_another_kind_keeps_what_was_typed() -> None:
    """Each way to write a trigger has its own inputs, so that changing the way loses nothing."""
    texts = trigger_texts(PLACE.bound(NINE), PLACE)
    assert {texts["trigger.kind"][0], *KINDS} == set(KINDS)
    other = {**texts, "trigger.kind": ["every"], "trigger.every": ["5"]}
    assert read_trigger(other, PLACE) == every(minutes=5)
    assert read_trigger({**other, "trigger.kind": ["cron"]}, PLACE) == PLACE.bound(NINE)
