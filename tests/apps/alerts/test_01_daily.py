"""The daily sample."""

from __future__ import annotations

from tests.apps.alerts.world import World


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
