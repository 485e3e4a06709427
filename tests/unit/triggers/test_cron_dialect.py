"""The extensions of the cron dialect, ``L``, ``W``, ``#`` and ``H``, and distant dates."""

from __future__ import annotations

import calendar
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from duly.triggers import cron
from tests.unit.triggers.helpers import cpu_seconds, fires, utc

MONTHS = [(year, month) for year in range(2024, 2052) for month in range(1, 13)]
"""Months that have every shape that a month can have."""


def days(text):
    """Return the days on which the cron fires, by month."""
    found: dict[tuple[int, int], list[int]] = {month: [] for month in MONTHS}
    for moment in fires(cron(text), "2023-12-31T23:59", "2051-12-31T23:59"):
        found[moment.year, moment.month].append(moment.day)
    return found


def length(month):
    return calendar.monthrange(*month)[1]


def weekday_of(month, day):
    year, number = month
    return calendar.weekday(year, number, day)


def of_weekday(month, weekday):
    """Return the days of the month that fall on a weekday (Monday = 0)."""
    return [d for d in range(1, length(month) + 1) if weekday_of(month, d) == weekday]


def nearest_workday(month, day):
    workdays = [d for d in range(1, length(month) + 1) if weekday_of(month, d) < 5]
    return min(workdays, key=lambda d: abs(d - day))


def test_last_day():
    """``L`` is the last day of every month."""
    assert days("0 0 L * *") == {month: [length(month)] for month in MONTHS}


def test_days_before_the_last():
    """``L-3`` is three days before the last day; ``L-30`` only exists in months of 31 days."""
    assert days("0 0 L-3 * *") == {month: [length(month) - 3] for month in MONTHS}
    assert days("0 0 L-30 * *") == {m: [1] if length(m) == 31 else [] for m in MONTHS}


@pytest.mark.parametrize("day", [1, 15, 28, 31])
def test_nearest_workday(day):
    """``15W`` is the weekday nearest to the 15th, never in another month."""
    expected = {m: [nearest_workday(m, day)] if day <= length(m) else [] for m in MONTHS}
    assert days(f"0 0 {day}W * *") == expected


def test_last_workday():
    """``LW`` is the last weekday of the month."""
    assert days("0 0 LW * *") == {m: [nearest_workday(m, length(m))] for m in MONTHS}


@pytest.mark.parametrize("text", ["5L", "friL", "FRIL"])
def test_last_weekday(text):
    """``5L`` and ``friL`` are the last Friday of the month."""
    assert days(f"0 0 * * {text}") == {m: of_weekday(m, 4)[-1:] for m in MONTHS}


@pytest.mark.parametrize("sunday", ["0L", "7L", "sunL"])
def test_last_sunday(sunday):
    """Both numbers of Sunday work with ``L``."""
    assert days(f"0 0 * * {sunday}") == {m: of_weekday(m, 6)[-1:] for m in MONTHS}


@pytest.mark.parametrize("nth", [1, 3, 5])
def test_nth_weekday(nth):
    """``2#3`` is the third Tuesday; not every month has a fifth one."""
    expected = {m: of_weekday(m, 1)[nth - 1 : nth] for m in MONTHS}
    assert days(f"0 0 * * 2#{nth}") == days(f"0 0 * * tue#{nth}") == expected


def test_extensions_in_lists():
    """Extensions can be listed beside plain days, and Vixie's rule applies to them."""
    assert days("0 0 1,15,L * *") == {m: [1, 15, length(m)] for m in MONTHS}
    assert days("0 0 * * mon#1,friL") == {
        m: sorted(of_weekday(m, 0)[:1] + of_weekday(m, 4)[-1:]) for m in MONTHS
    }
    assert days("0 0 L * fri#1") == {m: sorted({length(m), of_weekday(m, 4)[0]}) for m in MONTHS}
    assert days("0 0 */1 * fri#1") == {m: of_weekday(m, 4)[:1] for m in MONTHS}


def test_h_spreads_jobs_and_is_stable():
    """``H`` depends only on the job's id, and many ids spread over the whole range."""
    seen: Counter[int] = Counter()
    for number in range(600):
        trigger = cron("H H(0-5) * * *").bind(job_id=f"job-{number}")
        fire = trigger.next_after(utc("2026-01-01T00:00"))
        assert fire is not None
        assert fire.hour <= 5
        assert trigger == cron("H H(0-5) * * *").bind(job_id=f"job-{number}")
        seen[fire.minute] += 1
    assert len(seen) == 60
    assert max(seen.values()) < 30


def test_h_keeps_its_value_between_versions():
    """Changing the hash would move every deployed job, so these values never change."""
    values = [cron("H H * * *").bind(job_id=job).next_after(utc("2026-01-01")) for job in "abc"]
    assert [f"{value:%H:%M}" for value in values if value] == ["08:24", "03:09", "16:13"]


def test_h_ranges_and_steps():
    """``H(10-19)`` stays in its range, ``H/15`` is every 15 minutes, a hashed day is at most 28."""
    for job in ("a", "b", "c", "d", "e", "f"):
        inside = cron("H(10-19) * * * *").bind(job_id=job)
        assert {m.minute for m in fires(inside, "2026-01-01", "2026-01-02")} <= set(range(10, 20))
        quarters = fires(cron("H/15 0 * * *").bind(job_id=job), "2026-01-01", "2026-01-02")
        assert len(quarters) == 4
        assert {b - a for a, b in pairwise(quarters)} == {timedelta(minutes=15)}
        monthly = fires(cron("0 0 H * *").bind(job_id=job), "2026-01-01", "2027-01-01")
        assert len({m.day for m in monthly}) == 1
        assert monthly[0].day <= 28


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 0 29 2 */7", "2025-01-01", "2032-02-29"),  # 29 February on a Sunday
        ("0 0 29 2 */7", "1880-03-01", "1920-02-29"),  # the longest wait: 40 years
        ("0 0 29 2 *", "2096-03-01", "2104-02-29"),  # over a year without a leap day
        ("0 0 31 12 *", "9998-12-31", None),
        ("0 0 29 2 *", "9996-03-01", None),
    ],
)
def test_distant_dates_are_found_quickly(text, after, expected):
    """Rare dates are found within 10 ms, however far away they are."""
    trigger = cron(text, tz="America/New_York")
    trigger.next_after(utc("2026-01-01"))
    fire = trigger.next_after(utc(f"{after}T12:00"))
    assert cpu_seconds(lambda: trigger.next_after(utc(f"{after}T12:00"))) < 0.01
    assert (fire and f"{fire:%Y-%m-%d}") == expected


def test_a_leap_day_on_each_weekday_is_found_within_forty_years():
    """The search spans the longest gap of the calendar, 40 years, and finds every such day."""
    for weekday in range(7):
        trigger = cron(f"0 0 */28 2 {weekday}")
        moment = datetime(1601, 1, 1, tzinfo=UTC)
        leap_days: list[datetime] = []
        while len(leap_days) < 120:
            fire = trigger.next_after(moment)
            assert fire is not None
            if fire.day == 29:
                leap_days.append(fire)
            moment = fire
        assert all(fire.isoweekday() % 7 == weekday for fire in leap_days)


def test_sequential_and_random_searches_agree():
    """The cache of the previous search never changes a result."""
    trigger = cron("*/7 3-5 1-7,L * mon,fri", tz="Australia/Lord_Howe")
    forward = fires(trigger, "2026-01-01", "2027-01-01")
    for index in range(len(forward) - 1, 0, -7):
        assert trigger.next_after(forward[index - 1]) == forward[index]
        assert trigger.next_after(forward[index] - timedelta(seconds=1)) == forward[index]
