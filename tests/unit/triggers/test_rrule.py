"""Recurrence rules, compared with dateutil and by themselves."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.errors import TriggerError
from duly.triggers import rrule
from duly.triggers.recurrence.pattern import rule_pattern
from tests.unit.triggers.helpers import cpu_seconds, fires, shown, utc

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time
SHARDS = 4


def random_rule(rng):
    """Return an RRULE with a few parts, some of which make no sense together."""
    freq = rng.choice(FREQUENCIES)
    parts = {"FREQ": freq}

    def numbers(low, high, most=3, signed=False):
        chosen = {rng.randint(low, high) for _ in range(rng.randint(1, most))}
        return ",".join(str(rng.choice([-1, 1]) * n if signed else n) for n in chosen)

    def some(key, chance, value):
        if rng.random() < chance:
            parts[key] = value

    some("INTERVAL", 0.5, str(rng.choice([1, 2, 3, 4, 6, 12, 30])))
    some("BYMONTH", 0.3, numbers(1, 12, 5))
    if freq != "WEEKLY":
        some("BYMONTHDAY", 0.25, numbers(1, 31, 5, signed=True))
    if freq not in ("DAILY", "WEEKLY", "MONTHLY"):
        some("BYYEARDAY", 0.15, numbers(1, 366, 9, signed=True))
    if freq == "YEARLY":
        some("BYWEEKNO", 0.2, numbers(2, 51))  # see the next test for the others
    counting = freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in parts and rng.random() < 0.5
    days = rng.sample(("MO", "TU", "WE", "TH", "FR", "SA", "SU"), rng.randint(1, 3))
    nth = [str(rng.choice([1, 2, 3, 4, -1, -2])) if counting else "" for _ in days]
    some("BYDAY", 0.4, ",".join(n + day for n, day in zip(nth, days, strict=True)))
    some("BYHOUR", 0.3, numbers(0, 23))
    some("BYMINUTE", 0.3, numbers(0, 59))
    some("BYSECOND", 0.2, numbers(0, 59))
    if freq in ("YEARLY", "MONTHLY", "DAILY"):
        some("BYSETPOS", 0.2, numbers(1, 4, 2, signed=True))
    some("WKST", 0.2, rng.choice(["SU", "MO", "WE"]))
    some("COUNT", 0.2, str(rng.randint(1, 40)))
    return ";".join(f"{key}={value}" for key, value in parts.items())


def walls(text, start, count):
    """Return the first occurrences of a rule as wall times, up to 40 years after its start."""
    pattern, wall = rule_pattern(text, start), 0
    found: list[datetime] = []
    while len(found) < count and (following := pattern.at_or_after(wall)) is not None:
        moment = EPOCH + timedelta(seconds=following)
        if moment.year > start.year + 40:
            break
        found.append(moment)
        wall = following + 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_rules_agree_with_dateutil(shard):
    """Rules of all frequencies and parts fire when dateutil's do."""
    rng = random.Random(shard)
    compared = 0
    while compared < 80:
        text = random_rule(rng)
        start = EPOCH + timedelta(days=rng.randrange(17_900, 18_800), seconds=rng.randrange(86_400))
        try:
            found = walls(text, start, 12)
        except TriggerError:
            continue
        if not found:
            continue
        assert found == list(islice(rrulestr(text, dtstart=start), len(found))), (text, start)
        compared += 1


@pytest.mark.parametrize("week", [1, 2, 52, 53, -1, -2, -52, -53])
def test_weeks_at_the_turn_of_the_year_are_those_of_iso_8601(week):
    """Weeks 1, 52 and 53 are numbered as in the RFC and ISO 8601.

    dateutil puts some days of the turn of the year into the wrong week: it finds 2022-01-02 for
    ``BYWEEKNO=53``, which ISO counts to week 52, and no day of 2021 for ``BYWEEKNO=-53``.
    """
    trigger = rrule(f"FREQ=YEARLY;BYWEEKNO={week}", start="2010-01-01T00:00")
    found = {fire.date() for fire in fires(trigger, "2009-12-31", "2050-12-31T01:00")}
    expected, day = set(), utc("2010-01-01").date()
    while day < utc("2051-01-01").date():
        year, number, _ = day.isocalendar()
        last = datetime(year, 12, 28, tzinfo=UTC).isocalendar().week
        if week in (number, number - last - 1):
            expected.add(day)
        day += timedelta(days=1)
    assert found == expected


@pytest.mark.parametrize("text", ["FREQ=MONTHLY;BYDAY=-1FR", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE",
                                  "FREQ=YEARLY;BYWEEKNO=1;BYDAY=TH", "FREQ=HOURLY;INTERVAL=5",
                                  "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
                                  "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"])  # fmt: skip
def test_a_search_from_any_instant_agrees_with_one_from_the_start(text):
    """The cache of the previous search never changes a result."""
    trigger = rrule(text, start="2001-03-31T09:30", tz="Europe/Madrid")
    walked = fires(trigger, "2001-01-01", "2012-01-01")[:400]
    for index in range(len(walked) - 1, 0, -9):
        assert trigger.next_after(walked[index - 1]) == walked[index]
        assert trigger.next_after(walked[index] - timedelta(seconds=1)) == walked[index]


def test_clock_changes():
    """A daily rule shifts out of a gap and fires once in a fold; an hourly one keeps real hours."""
    daily = rrule("FREQ=DAILY", start="2026-01-01T02:30", tz="America/New_York")
    assert shown(fires(daily, "2026-03-08T00:00", "2026-03-08T23:00")) == ["2026-03-08T07:30:00Z"]
    night = rrule("FREQ=DAILY", start="2026-01-01T01:30", tz="America/New_York")
    assert shown(fires(night, "2026-11-01T00:00", "2026-11-01T23:00")) == ["2026-11-01T05:30:00Z"]
    hourly = rrule("FREQ=HOURLY", start="2026-01-01T00:00", tz="America/New_York")
    assert len(fires(hourly, "2026-11-01T03:59Z", "2026-11-02T04:59Z")) == 25


def test_count_and_until():
    """COUNT counts from the start; UNTIL is included, as a wall time or as an instant."""
    three = rrule("FREQ=DAILY;COUNT=3", start="2026-01-01T09:00")
    assert shown(fires(three, "2020-01-01", "2030-01-01")) == [
        f"2026-01-0{day}T09:00:00Z" for day in (1, 2, 3)
    ]
    assert three.next_after(utc("2026-01-03T09:00")) is None
    wall = rrule("FREQ=DAILY;UNTIL=20260102T090000", start="2026-01-01T09:00", tz="Asia/Tokyo")
    assert len(fires(wall, "2020-01-01", "2030-01-01")) == 2
    real = rrule("FREQ=DAILY;UNTIL=20260102T000000Z", start="2026-01-01T09:00", tz="Asia/Tokyo")
    assert len(fires(real, "2020-01-01", "2030-01-01")) == 2
    day = rrule("FREQ=DAILY;UNTIL=20260102", start="2026-01-01T09:00")
    assert len(fires(day, "2020-01-01", "2030-01-01")) == 2


def test_binding_supplies_zone_and_start():
    """A rule without a start takes the wall time at which the job is first stored."""
    bound = rrule("FREQ=DAILY").bind(tz="Europe/Madrid", anchor=utc("2026-05-04T10:11:12.5"))
    assert bound == rrule("FREQ=DAILY", start="2026-05-04T12:11:12", tz="Europe/Madrid")
    assert bound.bind(tz="UTC", anchor=utc("2027-01-01")) == bound


INVALID = [
    ("", "not a valid part"),
    ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY is not a valid frequency"),
    ("FREQ=WEEKLY;BYDAY=XX", "BYDAY=XX is not a weekday"),
    ("FREQ=WEEKLY;BYDAY=2MO", "may only number weekdays"),
    ("FREQ=WEEKLY;BYMONTHDAY=1", "must not be combined with FREQ=WEEKLY"),
    ("FREQ=DAILY;BYWEEKNO=1", "must not be combined with FREQ=DAILY"),
    ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0 is not an integer from 1 to 1000000"),
    ("FREQ=DAILY;INTERVAL=9999999999999", "is not an integer"),
    ("FREQ=DAILY;COUNT=99999999", "is not an integer"),
    ("FREQ=DAILY;COUNT=1;UNTIL=20260101", "must not be combined with COUNT"),
    ("FREQ=DAILY;UNTIL=tomorrow", "is not a date such as 20261231"),
    ("FREQ=DAILY;BYHOUR=24", "from 0 to 23"),
    ("FREQ=DAILY;BYHOUR=", "is not an integer"),
    ("FREQ=DAILY;BYHOUR=٣", "is not an integer"),
    ("FREQ=DAILY;BYHUOR=3", "did you mean 'BYHOUR'"),
    ("FREQ=DAILY;FREQ=DAILY", "given twice"),
    ("FREQ=DAILY;BYSETPOS=1", "requires another"),
    ("FREQ=HOURLY;INTERVAL=5;BYHOUR=3", "does not divide a day"),
    ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never fires"),
    ("FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=2", "never fires"),
    ("FREQ=DAILY;INTERVAL=7;BYDAY=SU", "never fires"),
    ("FREQ=HOURLY;INTERVAL=2;BYHOUR=3", "no time of day"),
    ("FREQ=SECONDLY;INTERVAL=90;BYSECOND=7", "no time of day"),
    ("FREQ=DAILY;UNTIL=20200101", "never fires"),
    ("," * 10_000, "must not exceed"),
    ("FREQ=DAILY;" + "BYHOUR=1;" * 90, "given twice"),
]


@pytest.mark.parametrize(("text", "words"), INVALID, ids=lambda v: str(v)[:30])
def test_invalid_and_impossible_rules_are_rejected_quickly(text, words):
    """An invalid rule is rejected within 10 ms, one that never fires within 200 ms."""
    with pytest.raises(TriggerError, match=words):
        rrule(text, start="2026-01-01T00:00")
    taken = cpu_seconds(lambda: rrule(text, start="2026-01-01T00:00"))
    assert taken < (0.2 if "never" in words else 0.01)


@given(st.text(alphabet="FREQDAILYWKSUNTHOVBM=;,-+0123456789", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_rule_or_an_error(text):
    """Any text raises a TriggerError or nothing."""
    with pytest.raises(TriggerError):
        rrule("FREQ=DAILY;" + text + ";BYHOUR=25")


def test_distant_occurrences_are_found_quickly():
    """The search does not iterate over the 26 years since the start of a minutely rule."""
    trigger = rrule("FREQ=MINUTELY;INTERVAL=7", start="2000-01-01T00:00")
    fire = trigger.next_after(utc("2026-01-01T00:00"))
    assert cpu_seconds(lambda: trigger.next_after(utc("2026-01-01T00:00"))) < 0.01
    assert fire == utc("2026-01-01T00:03")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE", "every 2 weeks on Monday and Wednesday at 09:00"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Friday at 09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=15,-2;BYHOUR=8", "every month on the 2nd last day and the 15th "
         "day of the month at 08:00"),
        ("FREQ=YEARLY;BYMONTH=6;BYDAY=2TU", "every year on the 2nd Tuesday in June at 09:00"),
        ("FREQ=HOURLY;INTERVAL=6", "every 6 hours"),
        ("FREQ=DAILY;COUNT=3", "every day at 09:00 3 times"),
    ],
)  # fmt: skip
def test_rules_in_english(text, words):
    """The description does not assume knowledge of the RFC."""
    assert rrule(text, start="2026-01-01T09:00").describe() == f"{words} from 2026-01-01 09:00"
