"""The schedule: which jobs there are, when they run, and who may change that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.apps.manageit.world import World


def local(world: World, job_id: str) -> str:
    """When a job is due next, in the zone of the messes."""
    due = world.job(job_id).next_fire_at
    assert due is not None
    return due.astimezone(world.app.extensions["manageit"].settings.zone).isoformat()


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
