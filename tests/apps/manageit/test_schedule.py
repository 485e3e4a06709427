"""The schedule: which jobs there are, when they run, and who may change that."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from apps.manageit import schedule
from apps.manageit.app import create_app
from apps.manageit.schedule import ALERTS
from apps.manageit.settings import Settings
from duly import RunRecord, VirtualClock
from duly.errors import DatabaseUnavailable
from duly.integrations.wsgi import WSGILifespan
from tests.apps.manageit.world import SECRET, START, World, app_on
from tests.support.waiting import wait_until


def local(world: World, job_id: str) -> str:
    """When a job is due next, in the zone of the messes."""
    due = world.job(job_id).next_fire_at
    assert due is not None
    return due.astimezone(world.app.extensions["manageit"].settings.zone).isoformat()


def starts(world: World) -> RunRecord:
    """Let the application start and stop, and return the run of the alerts at its start."""
    before = {run.id for run in world.runs(ALERTS)}

    def run_at_start() -> RunRecord | None:
        found = [run for run in world.runs(ALERTS, cause="start") if run.id not in before]
        return found[0] if found and found[0].finished_at else None

    world.scheduler.start()
    run = wait_until(run_at_start, what="the run at the start")
    world.scheduler.stop()
    assert run is not None
    return run


def test_01_the_jobs_exist_after_the_start(world: World) -> None:
    """The clean-up, the alerts and the notice of lunch, at their times in Kolkata."""
    assert local(world, "cleanup_old_menu") == "2026-06-16T00:00:00+05:30"
    assert local(world, "notify_lunch_admin") == "2026-06-15T14:00:00+05:30"
    assert local(world, "generate_high_low_alerts").endswith("+05:30")
    assert world.job("generate_high_low_alerts").next_fire_at == world.clock.now() + timedelta(
        minutes=60
    )


def test_02_times_do_not_depend_on_the_zone_of_the_host(world: World) -> None:
    """Midnight in Kolkata is 18:30 UTC of the previous day, and 14:00 is 08:30 UTC."""
    assert world.job("cleanup_old_menu").next_fire_at == datetime(2026, 6, 15, 18, 30, tzinfo=UTC)
    assert world.job("notify_lunch_admin").next_fire_at == datetime(2026, 6, 15, 8, 30, tzinfo=UTC)


def test_19_a_scheduler_that_cannot_start_prevents_the_application(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the scheduler switched off, the same application comes up."""

    def refuse(_lifespan: WSGILifespan) -> None:
        raise DatabaseUnavailable("the database does not respond")

    monkeypatch.setattr(WSGILifespan, "begin_in_gunicorn", lambda _lifespan: True)
    monkeypatch.setattr(WSGILifespan, "require_database", refuse)
    settings: dict[str, Any] = {"database_url": url, "secret_key": SECRET}
    with pytest.raises(DatabaseUnavailable):
        create_app(settings=Settings(**settings))
    switches: tuple[dict[str, Any], ...] = (
        {"scheduler_enabled": False},
        {"app_config": "testing"},
    )
    for off in switches:
        app = create_app(settings=Settings(**settings, **off))
        assert app.extensions["scheduler"].state == "stopped"
        app.extensions["manageit"].database.close()


def test_23_a_changed_meal_time_survives_a_restart(url: str) -> None:
    """Lunch moves to 14:30 at once, under the same id; the configuration does not undo it."""
    clock = VirtualClock(START)
    with app_on(url, clock) as first:
        first.run_due()
        uid = first.job("notify_lunch_admin").uid
        first.do(schedule.set_meal_time, "Lunch", time(14, 30), "otto@example.com")
        assert local(first, "notify_lunch_admin") == "2026-06-15T14:30:00+05:30"
        first.move_to("2026-06-15T08:30Z")
        assert first.runs("notify_lunch_admin") == []
    with app_on(url, clock) as restarted:
        restarted.move_to("2026-06-15T09:00Z")
        assert restarted.job("notify_lunch_admin").uid == uid
        assert restarted.run("notify_lunch_admin").state == "succeeded"
        assert local(restarted, "notify_lunch_admin") == "2026-06-16T14:30:00+05:30"
        [event] = restarted.scheduler.events(job="notify_lunch_admin", kind="job.changed")
        assert event.actor == "otto@example.com"


def test_alerts_are_generated_at_the_start_unless_they_are_recent(url: str) -> None:
    """Only if the last success is an hour old or older; the hourly times stay what they are."""
    clock = VirtualClock(START)
    with app_on(url, clock) as first:
        first.run_due()
        planned = first.job(ALERTS).next_fire_at
        assert starts(first).state == "succeeded"
        first.set_clock(START + timedelta(minutes=30))
        assert starts(first).state == "discarded"
        assert first.job(ALERTS).next_fire_at == planned
    clock.set(START + timedelta(minutes=150))
    with app_on(url, clock) as restarted:
        assert starts(restarted).state == "succeeded"
        assert restarted.job(ALERTS).next_fire_at == START + timedelta(minutes=180)


def test_every_job_has_an_id_a_grace_and_a_watch(world: World) -> None:
    """So none is silent: late runs are missed, and three failures in a row are told."""
    jobs = {job.id: job for job in world.scheduler.jobs()}
    assert set(jobs) == {
        "cleanup_old_menu", "generate_high_low_alerts", "notify_breakfast_admin",
        "notify_lunch_admin", "notify_snacks_admin", "notify_dinner_admin", "send_daily_report",
        "prune_history",
    }  # fmt: skip
    assert all(job.options.misfire_grace for job in jobs.values())
    assert {job.options.overlap for job in jobs.values()} == {"skip"}
