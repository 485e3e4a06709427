"""What becomes of the events that a notice rule has matched, decided without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from duly.errors import ConfigurationError
from duly.model.notice_rule import NoticeRule, QuietHours, decode_rule, encode_rule, make_rule
from duly.notify.routing import Item, route
from duly.store.notices import Subject

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = ["job.failing", "job.recovered", "run.failed", "run.late", "scheduler.stopped"]


def rule(**conditions: Any) -> NoticeRule:
    return make_rule("r", ALL, ["pager"], **conditions)


def items(*kinds: str) -> list[Item]:
    return [Item(number, kind) for number, kind in enumerate(kinds)]


def sent(seconds_ago: float, *, alarmed: bool = False) -> Subject:
    return Subject(NOW - timedelta(seconds=seconds_ago), alarmed)


def ids(given: NoticeRule, subject: Subject | None, *kinds: str) -> list[list[int]]:
    """The items of each notice."""
    return [shown for shown, _more in route(given, subject, items(*kinds), NOW).notices]


def test_without_a_throttle_each_event_is_told() -> None:
    assert ids(rule(), None, "run.failed", "run.failed") == [[0], [1]]
    assert ids(rule(), sent(0), "run.failed") == [[0]]


def test_a_throttle_counts_from_the_last_notice() -> None:
    assert ids(rule(every=60), None, "run.failed", "run.failed") == [[0, 1]]
    assert ids(rule(every=60), sent(59.9), "run.failed") == []
    assert ids(rule(every=60), sent(60), "run.failed") == [[0]]


def test_what_is_told_is_done_and_the_rest_waits() -> None:
    throttled = route(rule(every=60), sent(1), items("run.failed"), NOW)
    assert (throttled.done, throttled.notices) == ([], [])
    told = route(rule(every=60), None, items("run.failed", "job.failing"), NOW)
    assert (told.done, told.subject) == ([0, 1], Subject(NOW, alarmed=True))


def test_the_recovery_of_a_sent_alarm_is_told_at_once() -> None:
    """With what is held back, and without beginning another throttle by itself."""
    told = route(rule(every=60), sent(1, alarmed=True), items("job.recovered"), NOW)
    assert told.notices == [([0], 0)]
    assert told.subject == sent(1, alarmed=False)
    more = ("run.late", "job.recovered", "run.failed")
    routed = route(rule(every=60), sent(1, alarmed=True), items(*more), NOW)
    assert (routed.notices, routed.done) == ([([0, 1], 0)], [0, 1])


def test_a_recovery_without_an_alarm_is_dropped() -> None:
    routed = route(rule(), None, items("job.recovered"), NOW)
    assert (routed.notices, routed.done) == ([], [0])
    again = route(rule(), None, items("job.failing", "job.recovered", "job.recovered"), NOW)
    assert (again.notices, again.done) == ([([0], 0), ([1], 0)], [2, 0, 1])


def test_the_recovery_of_an_alarm_that_is_held_back_waits_with_it() -> None:
    routed = route(rule(every=60), sent(1), items("job.failing", "job.recovered"), NOW)
    assert (routed.notices, routed.done) == ([], [])


def test_quiet_hours_hold_back_alarms_and_recoveries_but_nothing_urgent() -> None:
    quiet = QuietHours("11:00", "13:00")
    held = rule(quiet=quiet, urgent=["scheduler.stopped"])
    night = route(held, sent(9, alarmed=True), items("run.failed", "job.recovered"), NOW)
    assert (night.notices, night.done) == ([], [])
    assert ids(held, None, "run.failed", "scheduler.stopped") == [[1]]
    assert ids(rule(quiet=quiet, urgent=["job.recovered"]), sent(9, alarmed=True),
               "job.recovered") == [[0]]  # fmt: skip


def test_a_long_digest_shows_how_it_began_and_how_it_ended() -> None:
    [(shown, more)] = route(rule(every=1), None, items(*["run.failed"] * 50), NOW).notices
    assert (shown, more) == ([*range(19), 49], 30)


@pytest.mark.parametrize(
    ("start", "end", "local", "hours"),
    [
        ("22:00", "07:00", "2026-03-01T22:00", 9.0),
        ("22:00", "07:00", "2026-03-01T06:59", 1 / 60),
        ("22:00", "07:00", "2026-03-01T07:00", None),
        ("22:00", "07:00", "2026-03-01T21:59", None),
        ("12:00", "14:00", "2026-03-01T13:00", 1.0),
        ("12:00", "14:00", "2026-03-01T14:00", None),
        ("22:00", "07:00", "2026-03-28T23:00", 7.0),  # the clocks are set forward in this night
        ("22:00", "07:00", "2026-10-24T23:00", 9.0),  # and back in this one
        ("01:00", "02:30", "2026-03-29T01:30", 1.0),  # 02:30 does not exist
    ],
)
def test_quiet_hours_are_local_time(start: str, end: str, local: str, hours: float | None) -> None:
    """They last as long as the wall clock says."""
    quiet = QuietHours(start, end, timezone="Europe/Berlin")
    now = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    ends = quiet.end_after(now)
    assert (None if ends is None else (ends - now) / timedelta(hours=1)) == hours


@pytest.mark.parametrize("given", [("7:00", "8:00"), ("24:00", "07:00"), ("07:00", "07:00")])
def test_hours_that_are_no_hours_are_refused(given: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        QuietHours(*given)
    with pytest.raises(ConfigurationError):
        QuietHours("22:00", "07:00", timezone="Mars/Base")


def test_a_rule_is_read_as_it_was_stored() -> None:
    given = rule(
        jobs=["a"], tags=["b"], tasks=["c"], queues=["d"], owners=["e"], every=60,
        quiet=QuietHours("22:00", "07:00", timezone="Asia/Tokyo"), urgent=["run.failed"],
    )  # fmt: skip
    assert decode_rule("r", "", encode_rule(given)) == given
