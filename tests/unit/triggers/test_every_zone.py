"""Cron against a scan of every minute, in every zone of the tz database."""

from __future__ import annotations

import random
import struct
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duly.triggers import cron
from duly.triggers.wallclock.changes import clock_changes
from duly.triggers.wallclock.seconds import EARLIEST, EPOCH, LATEST, year_start
from duly.triggers.wallclock.timeline import timeline
from tests.unit.triggers.brute_force import BruteForce
from tests.unit.triggers.helpers import fires

ZONES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})
GAPS, FOLDS = ("shift", "skip", "first"), ("first", "last", "both")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
pytestmark = pytest.mark.slow  # all zones of the tz database
SHARDS = 8


def changing_days(zone, first_year, last_year):
    """Return the days on which the offset of a zone changes, sampled once a day."""
    tz, moment = ZoneInfo(zone), datetime(first_year, 1, 1, tzinfo=UTC)
    days, before = [], None
    while moment.year <= last_year:
        offset = moment.astimezone(tz).utcoffset()
        if before is not None and offset != before:
            days.append(moment)
        before = offset
        moment += timedelta(days=1)
    return days


def random_field(rng, low, high):
    form = rng.random()
    if form < 0.25:
        return "*"
    if form < 0.4:
        return f"*/{rng.randint(2, 7)}"
    if form < 0.6:
        start, end = sorted(rng.sample(range(low, high + 1), 2))
        return f"{start}-{end}" + rng.choice(["", "/2"])
    return ",".join(map(str, rng.sample(range(low, high + 1), rng.randint(1, 4))))


def random_cron(rng):
    """Generate crons that fire often in the hours in which clocks change."""
    minute = rng.choice(["0", "30", "0,15,45", "*/20", "59", random_field(rng, 0, 59)])
    hour = rng.choice(["*", "0-3", "1,2", "23", "0", "*/2", "2", random_field(rng, 0, 23)])
    day = rng.choice(["*", "*", "*/2", random_field(rng, 1, 31)])
    weekday = rng.choice(["*", "*", "0,6", "mon-fri", random_field(rng, 0, 6)])
    return f"{minute} {hour} {day} * {weekday}"


def check(text, zone, policies, span):
    gap, fold = policies
    trigger = cron(text, tz=zone, gap=gap, fold=fold)
    found = fires(trigger, *span)
    due = trigger.due(*span, keep=5)
    assert (due.count, due.newest) == (len(found), tuple(found[-5:])), (text, zone, gap, fold)
    assert found == BruteForce(text, zone, gap, fold).fires(*span), (text, zone, gap, fold)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_zone_agrees_with_a_minute_scan_around_a_clock_change(shard):
    """In every zone, around one of its clock changes since 1970, no fire is wrong or missing."""
    rng = random.Random(shard)
    for zone in ZONES[shard::SHARDS]:
        decade = rng.randrange(1970, 2030, 10)
        days = changing_days(zone, decade, decade + 9) or [datetime(decade, 1, 1, tzinfo=UTC)]
        for middle in rng.sample(days, min(len(days), 3)):
            policies = rng.choice(GAPS), rng.choice(FOLDS)
            check(random_cron(rng), zone, policies, (middle - 2 * DAY, middle + DAY))


@given(
    zone=st.sampled_from(ZONES),
    day=st.integers(0, 215 * 365),
    rng=st.randoms(use_true_random=False),
    policies=st.tuples(st.sampled_from(GAPS), st.sampled_from(FOLDS)),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_zone_any_day_agrees_with_a_minute_scan(zone, day, rng, policies):
    """On any day from 1905 to 2120 no fire is wrong or missing."""
    after = datetime(1905, 1, 1, tzinfo=UTC) + day * DAY + rng.randrange(1440) * MINUTE
    offset = after.astimezone(ZoneInfo(zone)).utcoffset() or DAY
    span = timedelta(hours=1) if offset % MINUTE else DAY  # local mean time is tried by seconds
    check(random_cron(rng), zone, policies, (after, after + span))


def zone_files(zone):
    """Return the data of a zone: the file that zoneinfo reads, then any that it might read."""
    for place in (*map(Path, TZPATH), resources.files("tzdata") / "zoneinfo"):
        file = place.joinpath(*zone.split("/"))
        if file.is_file():
            yield file.read_bytes()


def listed_changes(data):
    """Return the changes listed in the file of a zone (TZif, RFC 9636, second data block)."""
    counts = struct.unpack(">6l", data[20:44])
    isut, isstd, leap, times, types, chars = counts
    start = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, _, times, types, _ = struct.unpack(">6l", data[start + 20 : start + 44])
    start += 44
    instants = struct.unpack_from(f">{times}q", data, start)
    kinds = struct.unpack_from(f">{times}B", data, start + 8 * times)
    offsets = [struct.unpack_from(">lBB", data, start + 9 * times + 6 * n)[0] for n in range(types)]
    before, found = offsets[0] if offsets else 0, []
    for instant, kind in zip(instants, kinds, strict=True):
        if offsets[kind] != before:
            found.append((instant, before, offsets[kind]))
        before = offsets[kind]
    return found


def test_a_search_in_steps_of_three_days_misses_no_clock_change():
    """No zone changes its clock twice within three days, so a step contains at most one change."""
    for zone in ZONES:
        for data in zone_files(zone):
            instants = [instant for instant, _, _ in listed_changes(data)]
            assert all(b - a > 3 * 86400 for a, b in pairwise(instants)), zone


@pytest.mark.parametrize("shard", range(SHARDS))
def test_clock_changes_are_those_of_the_tz_database(shard):
    """In every zone, the instants and offsets of all changes equal those of the zone's file."""
    for zone in ZONES[shard::SHARDS]:
        listed = listed_changes(next(zone_files(zone)))
        listed = [change for change in listed if change[0] > EARLIEST]
        start, end = (listed[0][0] - 86400, listed[-1][0] + 1) if listed else (0, 10**9)
        assert clock_changes(zone, start, end) == listed, zone


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_timeline_has_the_offsets_of_zoneinfo(shard):
    """In every zone, offsets agree on every day of a year, around its changes and in the future."""
    rng = random.Random(shard)
    for zone in ZONES[shard::SHARDS]:
        line, tz = timeline(zone, "skip", "both"), ZoneInfo(zone)
        year = year_start(rng.randrange(1900, 2140))
        changes = clock_changes(zone, year, year + 4 * 366 * 86400)
        seconds = [
            *range(year + rng.randrange(86400), year + 366 * 86400, 86400),
            *(change.at - back for change in changes for back in (1, 0)),
            *(rng.randrange(EARLIEST, LATEST) for _ in range(30)),
        ]
        for second in seconds:
            moment = EPOCH + timedelta(seconds=second)
            offset = moment.astimezone(tz).utcoffset()
            assert timedelta(seconds=line.at(second)[2]) == offset, (zone, moment)


@pytest.mark.parametrize("zone", ZONES[::40])
def test_years_beyond_the_listed_changes_follow_the_rule(zone):
    """Distant years, which are derived from a year of the same shape, agree with zoneinfo."""
    hourly, tz = cron("0 * * * *", tz=zone), ZoneInfo(zone)
    for year in (2129, 2200, 2399, 4000, 9000):
        for day in range(0, 360, 30):
            moment = datetime(year, 1, 1, tzinfo=UTC) + day * DAY
            fire = hourly.next_after(moment)
            assert fire is not None
            assert fire.astimezone(tz).minute == 0
            assert fire - moment <= timedelta(hours=1)
