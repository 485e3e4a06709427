"""Cron compared with cronsim and croniter: where they agree, and exactly how they differ.

The differences are listed, with reasons, in ``docs/guides/clock_changes.md``.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim

from duly.errors import CronError
from duly.triggers import cron
from duly.triggers.wallclock.changes import clock_changes
from tests.unit.triggers.helpers import utc

ZONES = (
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "America/Havana",
    "Pacific/Chatham",
    "Asia/Kathmandu",
)
DAY = timedelta(days=1)


def field(rng, low, high):
    form = rng.random()
    if form < 0.3:
        return "*"
    if form < 0.45:
        return f"*/{rng.randint(2, 6)}"
    if form < 0.65:
        start, end = sorted(rng.sample(range(low, high + 1), 2))
        return f"{start}-{end}" + rng.choice(["", "/2", "/3"])
    return ",".join(map(str, rng.sample(range(low, high + 1), rng.randint(1, 4))))


def text(rng, days, weekdays):
    day = rng.choice([field(rng, 1, 31), "*", *days])
    weekday = rng.choice([field(rng, 0, 7), "*", *weekdays])
    month = rng.choice(["*", field(rng, 1, 12)])
    return f"{field(rng, 0, 59)} {field(rng, 0, 23)} {day} {month} {weekday}"


def by_duly(trigger, start, count):
    moment, found = start, list[datetime]()
    while len(found) < count:
        moment = trigger.next_after(moment)
        found.append(moment)
    return found


def by_croniter(expression, start, count):
    """Return croniter's fires; it must be told which form of Vixie's rule applies."""
    _, _, day, _, weekday = expression.split()
    either = day[0] != "*" and weekday[0] != "*"
    iterator = croniter(expression, start, day_or=either)
    return [iterator.get_next(datetime) for _ in range(count)]


def cases(seed, count, days, weekdays):
    rng = random.Random(seed)
    while count:
        expression = text(rng, days, weekdays)
        start = utc("2024-01-01") + timedelta(minutes=rng.randrange(3 * 525_600))
        try:
            yield expression, start, by_duly(cron(expression), start, 5)
        except CronError:
            continue  # a day that does not exist
        count -= 1


def test_cronsim_agrees_in_utc():
    """Without clock changes, cronsim fires when Duly does, including ``L`` and ``#``."""
    for expression, start, found in cases(1, 600, ("L", "LW"), ("5L", "2#3", "mon-fri", "sun")):
        assert list(islice(CronSim(expression, start), 5)) == found, (expression, start)


def test_croniter_agrees_in_utc():
    """Without clock changes, croniter fires when Duly does, with plain fields and ``L``."""
    for expression, start, found in cases(2, 400, ("L",), ("mon-fri", "sun")):
        assert by_croniter(expression, start, 5) == found, (expression, start)


def around_changes(seed, count, hours):
    """Yield simple crons with the forty hours around clock changes of several zones."""
    rng = random.Random(seed)
    begin, end = (int(utc(f"{year}-01-01").timestamp()) for year in (2017, 2027))
    changes = {zone: clock_changes(zone, begin, end) for zone in ZONES}
    for _ in range(count):
        zone = rng.choice(ZONES[:-1])
        change = datetime.fromtimestamp(rng.choice(changes[zone])[0], UTC)
        expression = f"{rng.choice(['0', '30', '15,45'])} {rng.choice(hours)} * * *"
        yield zone, expression, change - timedelta(hours=20), change + timedelta(hours=20)


def between(iterator, until):
    """Return the fires up to ``until``, without duplicates."""
    found: set[datetime] = set()
    for fire in iterator:
        if fire.astimezone(UTC) > until:
            return sorted(found)
        found.add(fire.astimezone(UTC))
    return sorted(found)


WALL = ("0-3", "2", "1", "0", "1,2", "3", "9", "23")


def test_cronsim_on_the_wall_clock_is_gap_first():
    """Like Debian's cron, cronsim runs missed times at the end of the gap.

    Duly does so with ``gap="first"``; its default keeps the distance to midnight instead, so that
    jobs of different times stay in order and do not all start at once.
    """
    for zone, expression, start, until in around_changes(3, 300, WALL):
        theirs = between(CronSim(expression, start.astimezone(ZoneInfo(zone))), until)
        found = cron(expression, tz=zone, gap="first").due(start, until, keep=500).newest
        assert theirs == list(found), (zone, expression, start)


def test_croniter_on_the_wall_clock_is_gap_first_and_fold_both():
    """croniter runs missed times at the end of the gap, and repeated ones twice.

    Except that it misses a repeated time that is the very instant of the change, as in Chatham.
    """
    for zone, expression, start, until in around_changes(4, 300, WALL):
        if zone == "Pacific/Chatham":
            continue
        local = start.astimezone(ZoneInfo(zone))
        iterator = croniter(expression, local)
        theirs = between((iterator.get_next(datetime) for _ in range(500)), until)
        found = cron(expression, tz=zone, gap="first", fold="both").due(start, until, keep=500)
        assert theirs == list(found.newest), (zone, expression, start)


@pytest.mark.parametrize("zone", ZONES)
def test_both_agree_on_days_without_a_change(zone):
    """Away from clock changes, every zone behaves like UTC."""
    rng = random.Random(zone)
    for _ in range(40):
        expression = text(rng, (), ())
        start = utc("2024-01-01") + timedelta(minutes=rng.randrange(1_000_000))
        try:
            trigger = cron(expression, tz=zone)
        except CronError:
            continue
        until = start + 2 * DAY
        if clock_changes(zone, int((start - DAY).timestamp()), int((until + DAY).timestamp())):
            continue
        found = list(trigger.due(start, until, keep=5000).newest)
        assert between(CronSim(expression, start.astimezone(ZoneInfo(zone))), until) == found


def test_cronsim_misses_runs_in_a_repeated_half_hour():
    """Lord Howe Island repeats half an hour: 01:30 occurs twice, and cronsim runs it once."""
    start, until = utc("2026-04-04T14:00"), utc("2026-04-04T16:30")
    zone = ZoneInfo("Australia/Lord_Howe")
    found = cron("30 * * * *", tz=zone).due(start, until, keep=9).newest
    theirs = between(CronSim("30 * * * *", start.astimezone(zone)), until)
    assert [f"{fire.astimezone(zone):%H:%M%z}" for fire in found] == [
        "01:30+1100",
        "01:30+1030",
        "02:30+1030",
    ]
    assert set(found) - set(theirs)
    assert not set(theirs) - set(found)


def test_croniter_adds_a_run_at_the_end_of_a_gap():
    """02:00 to 02:59 do not exist that day; Duly does not run, croniter runs at 03:00."""
    start, until = utc("2026-03-08T06:00"), utc("2026-03-08T12:00")
    zone = ZoneInfo("America/New_York")
    iterator = croniter("* 2 * * *", start.astimezone(zone))
    theirs = between((iterator.get_next(datetime) for _ in range(3)), until)
    assert theirs == [utc("2026-03-08T07:00")]
    assert cron("* 2 * * *", tz=zone).next_after(start) == utc("2026-03-09T06:00")


def test_steps_after_a_weekday_count_sunday_once():
    """``1/3`` is Monday and Thursday; cronsim and others continue to 7 and add Sunday."""
    start = utc("2026-01-05")
    ours = by_duly(cron("0 0 * * 1/3"), start, 3)
    theirs = list(islice(CronSim("0 0 * * 1/3", start), 3))
    assert [f"{fire:%a}" for fire in ours] == ["Thu", "Mon", "Thu"]
    assert [f"{fire:%a}" for fire in theirs] == ["Thu", "Sun", "Mon"]


def test_croniter_ignores_the_day_of_month_beside_a_numbered_weekday():
    """With a day of the month and ``2#3``, Vixie's rule means either; croniter ignores the day."""
    start = utc("2026-11-08T16:20")
    ours = by_duly(cron("0 9 4,10,19 * 2#3"), start, 2)
    assert [fire.day for fire in ours] == [10, 17]
    assert [fire.day for fire in by_croniter("0 9 4,10,19 * 2#3", start, 2)] == [17, 15]
