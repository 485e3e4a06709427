"""When alerts run: items 1 to 6 and 23 of the checklist."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.apps.alerts.world import DAILY, World

PACIFIC = ZoneInfo("America/Los_Angeles")
ZONE = {"timezone": "America/Los_Angeles"}
WEEKLY = {"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5], **ZONE}
HOURLY = {"type": "hourly", "time": "00:30", **ZONE}


def local(times: list[datetime], form: str) -> list[str]:
    return [f"{time.astimezone(PACIFIC):{form}}" for time in times]


def test_01_the_daily_sample_becomes_a_job_in_its_own_zone(world: World) -> None:
    """Its id, name, trigger, and next run: 16:00 UTC in October, 17:00 UTC in December."""
    ana, otto = world.person(), world.admin()
    alert = ana.alert()
    assert alert["scheduling"] == {
        "state": "scheduled", "next_run_time": "2025-10-14T16:00:00+00:00", "detail": None,
    }  # fmt: skip
    assert (alert["timezone"], alert["crontab"]) == ("America/Los_Angeles", "0 9 * * *")
    (job,) = otto.get("/scheduler/status")["jobs"]
    assert job["id"] == f"alert_{alert['id']}"
    assert job["name"] == "Alert: High CPLPV Alert"
    assert job["trigger"] == "cron[0 9 * * *]"
    assert job["next_run_time"] == "2025-10-14T16:00:00+00:00"
    world.move_to("2025-12-01T12:00:00+00:00")
    (job,) = otto.get("/scheduler/status")["jobs"]
    assert job["next_run_time"] == "2025-12-01T17:00:00+00:00"


def test_02_the_weekly_sample_runs_on_every_listed_day(world: World) -> None:
    """Monday, Wednesday and Friday at 10:00 Pacific, never on Tuesday."""
    alert = world.person().alert(frequency=WEEKLY)
    assert alert["crontab"] == "0 10 * * 1,3,5"
    times = world.times_of(alert["id"], "2025-10-26T00:00:00+00:00")
    assert local(times, "%a %H:%M") == [
        "Wed 10:00", "Fri 10:00", "Mon 10:00", "Wed 10:00", "Fri 10:00",
    ]  # fmt: skip


def test_03_the_monthly_sample_runs_on_the_1st_and_the_15th(world: World) -> None:
    """Both listed days count, in every month."""
    alert = world.person().alert(
        frequency={"type": "monthly", "time": "08:00", "dayOfMonth": [1, 15], **ZONE}
    )
    assert alert["crontab"] == "0 8 1,15 * *"
    times = world.times_of(alert["id"], "2026-01-02T00:00:00+00:00")
    assert local(times, "%m-%d %H:%M") == [
        "10-15 08:00", "11-01 08:00", "11-15 08:00", "12-01 08:00", "12-15 08:00", "01-01 08:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dayOfMonth": [31]}, ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        (
            {"dayOfMonth": [30, 31]},
            ["01-30", "01-31", "02-28", "03-30", "03-31", "04-30", "05-30", "05-31"],
        ),
        ({"dayOfMonth": [31], "monthEnd": "skip"}, ["01-31", "03-31", "05-31"]),
    ],
    ids=["last day", "once", "skip"],
)
def test_04_days_that_a_month_lacks(
    world: World, options: dict[str, Any], expected: list[str]
) -> None:
    """The last day takes their place, once, or the month is left out."""
    world.move_to("2026-01-02T00:00:00+00:00")
    alert = world.person().alert(frequency={"type": "monthly", "time": "08:00", **ZONE, **options})
    times = world.times_of(alert["id"], "2026-06-02T00:00:00+00:00")
    assert local(times, "%m-%d") == expected
    leap = world.scheduler.next_fires(f"alert_{alert['id']}", 60)
    february = [f"{time:%m-%d}" for time in leap if (time.year, time.month) == (2028, 2)]
    assert february == ([] if "monthEnd" in options else ["02-29"])


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2025-10-15T07:00:00+00:00", "2025-10-16T07:00:00+00:00", 24),
        ("2025-11-02T07:00:00+00:00", "2025-11-03T08:00:00+00:00", 25),
        ("2026-03-08T08:00:00+00:00", "2026-03-09T07:00:00+00:00", 23),
    ],
    ids=["usual day", "autumn", "spring"],
)
def test_05_hourly_runs_in_every_real_hour(world: World, start: str, end: str, count: int) -> None:
    """24 runs a day, 25 on the day that has 25 hours, 23 in spring."""
    world.move_to(start)
    alert = world.person().alert(frequency=HOURLY)
    times = world.times_of(alert["id"], end)
    assert len(times) == len(set(times)) == count
    assert {time.minute for time in times} == {30}


def test_05_an_hour_of_an_hourly_time_is_a_warning(world: World) -> None:
    """It is accepted, and the response says that only the minute counts."""
    alert = world.person().alert(frequency={**HOURLY, "time": "07:30"})
    assert alert["crontab"] == "30 * * * *"
    assert alert["warnings"] == [
        "time 07:30: an hourly frequency uses only the minute, not hour 07"
    ]


@pytest.mark.parametrize(
    ("time", "start", "expected"),
    [
        ("02:30", "2026-03-07T20:00:00+00:00", ["2026-03-08T10:30", "2026-03-09T09:30"]),
        ("01:30", "2026-10-31T20:00:00+00:00", ["2026-11-01T08:30", "2026-11-02T09:30"]),
    ],
    ids=["gap", "repeated"],
)
def test_06_clock_changes(world: World, time: str, start: str, expected: list[str]) -> None:
    """A time in the gap moves by its length; a repeated one runs once, at its first occurrence."""
    world.move_to(start)
    alert = world.person().alert(frequency={**DAILY, "time": time})
    end = datetime.fromisoformat(f"{expected[-1]}+00:00")
    assert [f"{fire:%Y-%m-%dT%H:%M}" for fire in world.times_of(alert["id"], end)] == expected


@pytest.mark.parametrize(
    "frequency",
    [
        WEEKLY,
        {"type": "interval", "every_minutes": 90},
        {"type": "cron", "expression": "*/20 8-9 * * 1-5"},
        {"type": "daily", "times": ["18:00", "06:15"], "excludeDates": ["2025-10-16"]},
        {"type": "monthly", "time": "07:00", "dayOfWeek": [2], "weekOfMonth": [2]},
    ],
    ids=lambda frequency: frequency["type"],
)
def test_23_a_preview_shows_the_times_that_will_be(world: World, frequency: dict[str, Any]) -> None:
    """The ten times of the preview are those at which the alert runs, also if it is saved later."""
    ana = world.person()
    shown = ana.post("/frequency/preview", frequency=frequency).json()
    assert len(shown["next_run_times"]) == 10
    world.forward(seconds=100)
    alert = ana.alert(frequency=frequency)
    previewed = [datetime.fromisoformat(text) for text in shown["next_run_times"]]
    assert world.times_of(alert["id"], previewed[-1]) == previewed
    assert shown["timezone"] == alert["timezone"] == "America/Los_Angeles"
