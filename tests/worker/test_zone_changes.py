"""Engine rule 21: newer time zone data moves what goes by a wall clock, and repeats nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from duly import Scheduler, cron, every
from duly.operations import zone_data as zone_changes
from duly.store import control
from duly.store.tables import job
from tests.worker.conftest import World

NINE = cron("0 9 * * *", tz="Europe/Madrid")  # 08:00 UTC in winter
HOUR = timedelta(hours=1)


def day(number: int, hour: int, minute: int = 0) -> datetime:
    """An instant of January 2026."""
    return datetime(2026, 1, number, hour, minute, tzinfo=UTC)


def stored_under_old_data(world: World, now: datetime, moved: timedelta) -> Scheduler:
    """A job whose times were worked out when Madrid's clock was believed ``moved`` further on."""
    world.clock.advance((now - world.clock.now()).total_seconds())
    scheduler = world.scheduler()
    scheduler.task(name="nothing")(lambda: None)
    scheduler.add("nothing", NINE, id="nine")
    with scheduler.store.write() as tx:
        control.set_zone_data(tx, "2020a")
        last = day(9, 8) - moved
        values = {
            "tzdb": "2020a", "last_nominal": last, "next_fire_at": last + 24 * HOUR,
            "created_at": day(1, 0), "updated_at": day(1, 0),
        }  # fmt: skip
        tx.conn.execute(update(job).where(job.c.id == "nine").values(**values))
    return scheduler


@pytest.mark.parametrize("moved", [HOUR, -HOUR], ids=["later", "earlier"])
def test_rule_21_the_next_time_follows_newer_data(world: World, moved: timedelta) -> None:
    """Whichever way the clock was corrected: tomorrow at nine, not today once more."""
    scheduler = stored_under_old_data(world, day(9, 10), moved)
    scheduler.prepare()
    assert scheduler.job("nine").next_fire_at == day(10, 8)
    assert [e.detail["fields"] for e in scheduler.events(job="nine", kind="job.changed")] == [
        ["next_fire_at"]
    ]
    scheduler.tick()
    assert scheduler.runs(job="nine") == []


def test_rule_21_what_has_run_today_does_not_run_again(world: World) -> None:
    """It ran at what was believed to be nine; the real nine is still to come, and is the same."""
    scheduler = stored_under_old_data(world, day(9, 7, 30), HOUR)
    scheduler.prepare()
    assert scheduler.job("nine").next_fire_at == day(10, 8)


def test_rule_21_what_is_overdue_is_decided_first(world: World) -> None:
    """Once, although the new data would put the same wall time after it."""
    scheduler = stored_under_old_data(world, day(10, 7, 10), HOUR)
    scheduler.tick()
    assert [run.scheduled_for for run in scheduler.runs(job="nine")] == [day(10, 7)]
    assert scheduler.job("nine").next_fire_at == day(11, 8)


def test_rule_21_a_time_that_has_just_passed_is_not_lost(world: World) -> None:
    """By the new data nine was half an hour ago, and nobody has decided it."""
    scheduler = stored_under_old_data(world, day(10, 8, 30), -HOUR)
    scheduler.tick()
    assert [run.scheduled_for for run in scheduler.runs(job="nine")] == [day(10, 8)]


def test_rule_21_older_data_changes_nothing_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that was left behind must not move the others' times back."""
    scheduler = stored_under_old_data(world, day(9, 10), HOUR)
    believed = scheduler.job("nine").next_fire_at
    monkeypatch.setattr(zone_changes, "tzdb_version", lambda: "2019c")
    with caplog.at_level(logging.WARNING):
        scheduler.prepare()
    assert scheduler.job("nine").next_fire_at == believed
    assert "older time zone data" in caplog.text


def test_rule_21_intervals_do_not_move(world: World) -> None:
    """They count elapsed time, whatever a clock on a wall shows."""
    scheduler = stored_under_old_data(world, day(9, 10), HOUR)
    before = scheduler.add("nothing", every(hours=7), id="every").next_fire_at
    with scheduler.store.write() as tx:
        tx.conn.execute(update(job).where(job.c.id == "every").values(tzdb="2020a"))
    scheduler.prepare()
    assert scheduler.job("every").next_fire_at == before
