"""Explanations: the description, the next fires with their marks, and the warnings."""

from __future__ import annotations

import pytest

from duly.errors import NaiveDatetimeError, TriggerError
from duly.triggers import (
    any_of,
    at,
    calendar,
    cron,
    dates,
    every,
    explain,
    frequency,
    lint,
    rrule,
    weekends,
)
from tests.unit.triggers.helpers import shown, utc

NEW_YORK = "America/New_York"
SPRING = utc("2026-03-06T12:00")


def test_a_gap_is_reported_with_the_shifted_run():
    """A 02:30 job in New York reports the day without 02:30, and that it runs at 03:30."""
    found = explain(cron("30 2 * * *", tz=NEW_YORK), SPRING, 3)
    assert found.text == "at 02:30, America/New_York time"
    assert found.crontab == "30 2 * * *"
    assert found.tz == NEW_YORK
    assert shown([fire.instant for fire in found.fires]) == [
        "2026-03-07T07:30:00Z",
        "2026-03-08T07:30:00Z",
        "2026-03-09T06:30:00Z",
    ]
    assert [fire.marks for fire in found.fires] == [(), ("gap",), ()]
    assert found.fires[1].note == "gap: 02:30 does not exist on 2026-03-08"
    assert f"{found.fires[1].local:%H:%M %z}" == "03:30 -0400"
    assert found.warnings == (
        "fires at 02:30, which does not exist on 2026-03-08 in America/New_York: will run at 03:30",
    )


def test_an_explanation_prints_as_lines():
    """The string is the text that ``duly explain`` shows."""
    assert str(explain(cron("30 2 * * *", tz=NEW_YORK), SPRING, 2)).splitlines() == [
        "at 02:30, America/New_York time",
        "  Sat 2026-03-07 02:30:00 -0500 = 2026-03-07 07:30:00Z",
        "  Sun 2026-03-08 03:30:00 -0400 = 2026-03-08 07:30:00Z"
        "   gap: 02:30 does not exist on 2026-03-08",
        "! fires at 02:30, which does not exist on 2026-03-08 in America/New_York: "
        "will run at 03:30",
    ]


def test_a_fold_is_marked_in_both_passes():
    """Each of two equal wall times is marked as the first or the second."""
    found = explain(cron("30 1 * * *", tz=NEW_YORK, fold="both"), utc("2026-10-31T12:00"), 3)
    assert [fire.note for fire in found.fires] == [
        "fold: the first 01:30 of that day",
        "fold: the second 01:30 of that day",
        "",
    ]


def test_excluded_occurrences_are_listed_among_the_others():
    """Excluded occurrences do not vanish: each is listed, with the day to which it moves."""
    nine = cron("0 9 * * *", tz="Europe/Madrid")
    found = explain(nine.excluding(weekends()), SPRING, 2)
    assert [(f"{f.local:%a}", f.marks) for f in found.fires] == [
        ("Sat", ("excluded",)),
        ("Sun", ("excluded",)),
        ("Mon", ()),
        ("Tue", ()),
    ]
    moved = explain(nine.excluding(weekends(), shift="next_working_day"), SPRING, 1)
    assert [fire.note for fire in moved.fires] == ["moved to 2026-03-09 09:00"] * 2 + [""]


def test_the_end_is_reported():
    """A trigger that never fires again says so, and the number of listed fires is limited."""
    assert str(explain(at(SPRING), SPRING)).endswith("never fires again")
    assert len(explain(every(seconds=1), SPRING, 10**9).fires) == 1000


def test_a_zone_can_be_given():
    """A trigger without a zone is bound to the given one."""
    found = explain(cron("0 9 * * *"), SPRING, 1, tz="Asia/Tokyo")
    assert (found.tz, shown([found.fires[0].instant])) == ("Asia/Tokyo", ["2026-03-07T00:00:00Z"])
    assert explain(every(days=1), SPRING, 1, tz="Asia/Tokyo").fires[0].local.hour == 9
    with pytest.raises(TriggerError):
        explain(cron("0 9 * * *"), SPRING, tz="Mars/Base")
    with pytest.raises(NaiveDatetimeError):
        explain(cron("0 9 * * *"), SPRING.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (cron("30 2 * * *", tz=NEW_YORK, gap="skip"), ["2026-03-08 in", "will not run"]),
        (cron("30 2 * * *", tz=NEW_YORK, gap="first"), ["will run at 03:00"]),
        (cron("30 1 * * *", tz=NEW_YORK), ["occurs twice on 2026-11-01", "once, the first time"]),
        (cron("30 1 * * *", tz=NEW_YORK, fold="last"), ["once, the second time"]),
        (cron("30 1 * * *", tz=NEW_YORK, fold="both"), ["will run twice"]),
        (cron("15 2 * * *", tz="Australia/Lord_Howe"), ["2026-10-04", "will run at 02:45"]),
        (calendar(days=1, at="02:30", tz=NEW_YORK), ["will run at 03:30"]),
        (rrule("FREQ=DAILY", start="2026-01-01T02:30", tz=NEW_YORK), ["will run at 03:30"]),
        (frequency({"type": "daily", "time": "02:30"}), ["in America/Los_Angeles: will run at"]),
        (any_of(at(SPRING), cron("30 2 * * *", tz=NEW_YORK)), ["will run at 03:30"]),
        (cron("30 2 * * *", tz=NEW_YORK).excluding(dates("12-25")), ["will run at 03:30"]),
        (cron("*/7 * * * *"), ["the last step is only 4 minutes long"]),
        (cron("0 */5 * * *"), ["*/5 in the hour field", "only 4 hours long"]),
        (cron("0 0 13 * 5"), ["day-of-month and day-of-week are both set"]),
        (cron("0 0 31 * *"), ["does not fire in February, April", "use 'L' for the last day"]),
        (cron("0 0 29 * *"), ["February, which has no day 29 except in leap years"]),
        (every(days=1), ["a day is 24 hours here"]),
        (frequency({"type": "hourly", "time": "03:30"}), ["uses only the minute"]),
    ],
    ids=str,
)
def test_lint_warns(trigger, words):
    """Whatever may surprise the author is reported in one sentence."""
    warnings = lint(trigger, SPRING)
    assert warnings
    assert all(any(word in warning for warning in warnings) for word in words), warnings


@pytest.mark.parametrize(
    "trigger",
    [
        cron("0 9 * * 1-5", tz=NEW_YORK),
        cron("*/5 * * * *", tz=NEW_YORK),
        cron("30 * * * *", tz=NEW_YORK),
        cron("30 2 * * *", tz="UTC"),
        cron("30 2 * * *", tz="Asia/Kathmandu"),
        cron("30 2 * * 1-5", tz=NEW_YORK),  # clocks change on Sundays there
        cron("0 0 28 2 *"),
        rrule("FREQ=HOURLY", start="2026-01-01T00:30", tz=NEW_YORK),
        every(hours=5),
        at(SPRING),
    ],
    ids=str,
)
def test_lint_is_silent_if_nothing_surprises(trigger):
    """A useless warning would teach users to ignore them all."""
    assert lint(trigger, SPRING) == ()


def test_a_day_that_a_zone_skipped():
    """Apia had no 30 December 2011: the run of that day is on the 31st."""
    warnings = lint(cron("0 9 * * *", tz="Pacific/Apia"), utc("2011-12-01"))
    assert warnings[0] == (
        "fires at 09:00, which does not exist on 2011-12-30 in Pacific/Apia: will run on 2011-12-31"
    )
