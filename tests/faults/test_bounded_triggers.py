"""A trigger that needs unbounded work or depth is refused when it is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from duly import Scheduler, Trigger, all_of, any_of, blackout, cron, dates, every, rrule, weekends
from duly.errors import TriggerError
from duly.triggers import combine, decode, encode, union

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RARE = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"


def rare(count: int) -> list[Trigger]:
    """Triggers of which each fires every 28 years, at a time of its own."""
    return [rrule(RARE, start=f"2000-02-01T{hour:02}:00") for hour in range(count)]


def nested(depth: int, wrap: Callable[[Trigger], Trigger]) -> Trigger:
    trigger: Trigger = every(hours=1)
    for _ in range(depth):
        trigger = wrap(trigger)
    return trigger


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often a part of a trigger is asked for its next fire."""
    asked = [0]

    def counted(kind: Any) -> None:
        own = kind.next_after

        def next_after(self: Any, moment: datetime) -> datetime | None:
            asked[0] += 1
            found: datetime | None = own(self, moment)
            return found

        monkeypatch.setattr(kind, "next_after", next_after)

    counted(type(every(hours=1)))
    counted(type(cron("0 9 * * *")))
    counted(type(rrule("FREQ=DAILY")))
    return asked


@pytest.mark.parametrize(
    "make",
    [
        lambda: all_of(*rare(24)),
        lambda: all_of(*[cron(f"{n} {n % 24} 29 2 *") for n in range(50)]),
        lambda: all_of(*[every(seconds=1000 + n) for n in range(50)]),
        lambda: all_of(
            *[
                any_of(all_of(every(seconds=1000 + n), every(seconds=1001 + n)), *rare(2))
                for n in range(20)
            ]
        ),
    ],
)
def test_S05_a_search_for_shared_instants_is_bounded(
    make: Callable[[], Trigger], questions: list[int]
) -> None:
    """Rare triggers that never meet are refused after little work, however many and nested."""
    with pytest.raises(TriggerError, match=r"share no instant up to .*, where the search stopped"):
        make()
    assert questions[0] < 60_000  # including those of the 20 inner ones that meet


def test_S05_triggers_that_meet_are_found() -> None:
    """The bound stays far beyond what schedules of people need."""
    leap_monday = all_of(cron("0 0 29 2 *"), cron("0 0 * * mon"))
    assert leap_monday.next_after(NOW) == datetime(2044, 2, 29, tzinfo=UTC)
    both = all_of(every(seconds=97, anchor=NOW), every(seconds=101, anchor=NOW))
    assert both.next_after(NOW) == NOW + timedelta(seconds=97 * 101)
    assert all_of(every(hours=2), every(hours=3), every(hours=5)).next_after(NOW) is not None


def test_S05_all_of_finds_what_a_scan_of_minutes_finds() -> None:
    """Each instant that all parts share, in order, and no other."""
    parts = cron("*/7 * * * *"), cron("*/5 */2 * * *"), every(minutes=15, anchor=NOW)
    trigger, moment, found = all_of(*parts), NOW, []
    while (fire := trigger.next_after(moment)) is not None and fire < NOW + timedelta(days=2):
        found.append(moment := fire)
    minutes = [NOW + timedelta(minutes=n) for n in range(1, 2 * 24 * 60)]
    tick = timedelta(microseconds=1)
    assert found == [m for m in minutes if all(part.next_after(m - tick) == m for part in parts)]
    assert len(found) > 10


@pytest.mark.parametrize(
    "make",
    [
        lambda depth: nested(depth, lambda inner: any_of(inner, every(hours=2))),
        lambda depth: nested(depth, lambda inner: all_of(inner, every(hours=2))),
        lambda depth: nested(depth, lambda inner: inner.excluding(weekends())),
        lambda depth: every(hours=1).excluding(unions(depth)),
    ],
)
def test_S05_nesting_is_bounded(make: Callable[[int], Trigger]) -> None:
    """900 levels are refused when they are made; what is accepted can be stored and read back."""
    with pytest.raises(TriggerError, match=r"nested more than \d+ deep; give"):
        make(900)
    for depth in range(1, 30):
        try:
            trigger = make(depth)
        except TriggerError:
            break
        assert decode(encode(trigger)) == trigger
        assert trigger.next_after(NOW) is not None
    assert depth > 8


def unions(depth: int) -> Any:
    calendar: Any = weekends()
    for _ in range(depth):
        calendar = union(calendar, weekends("fri"))
    return calendar


def test_S05_the_number_of_triggers_in_one_is_bounded() -> None:
    """50 times 50 times 50 triggers would keep a worker busy for seconds at each fire."""
    with pytest.raises(TriggerError, match=r"any_of\(\) contains 2551 triggers; 1000 are allowed"):
        nested(3, lambda inner: any_of(*[inner] * 50))
    assert len(combine.any_of(*[any_of(*[every(hours=1)] * 40)] * 20).parts) == 20


@pytest.mark.parametrize(
    "rule", ["COUNT=10000;" + RARE, "COUNT=1000;INTERVAL=7;FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"]
)
def test_S05_a_rule_with_a_count_ends_within_a_thousand_years(rule: str) -> None:
    """Its occurrences are listed when it is made, so that list is bounded."""
    with pytest.raises(TriggerError, match="must be within 1,000 years; give a smaller COUNT"):
        rrule(rule, start="1000-02-01T00:00").next_after(NOW)
    last = rrule("FREQ=DAILY;COUNT=10000", start="2000-01-01T00:00")
    assert last.next_after(datetime(2027, 5, 18, 12, tzinfo=UTC)) is None


def test_S05_a_trigger_that_is_too_long_to_be_read_back_is_refused(
    prepared_sqlite_url: str,
) -> None:
    """The job would be stored, and never fire because nobody could read its trigger."""
    scheduler = Scheduler(prepared_sqlite_url)

    @scheduler.task()
    def work() -> None: ...

    windows = [(NOW + timedelta(hours=2 * n), NOW + timedelta(hours=2 * n + 1)) for n in range(900)]
    part = every(hours=1).excluding(blackout(*windows))
    with pytest.raises(TriggerError, match=r"JSON of this trigger has \d+ characters; 65536 are"):
        scheduler.add(work, any_of(part, part))
    scheduler.set_calendar(
        "closed", dates(*[date(2026, 1, 1) + timedelta(n) for n in range(9_000)])
    )
    with pytest.raises(TriggerError, match=r"JSON of this trigger has \d+ characters; 65536 are"):
        scheduler.add(work, every(hours=1).excluding("closed"))
    assert scheduler.jobs() == []
    scheduler.store.dispose()
