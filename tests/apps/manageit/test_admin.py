"""The pages of admins: messes, notices, reports and the scheduler; health and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.apps.manageit.visitors import admin_of, official_of, student_of, visitor
from tests.apps.manageit.world import TODAY, World, app_on, world_on

SCHEDULER = "/api/admin/scheduler"
CLEANUP, LUNCH = "cleanup_old_menu", "notify_lunch_admin"


@pytest.fixture
def site(manageit_sqlite_url: str) -> Iterator[World]:
    """The application on SQLite, for pages on which the database has no influence."""
    with world_on(manageit_sqlite_url) as world:
        yield world


def job(body: Any, job_id: str) -> Any:
    """A job of the scheduler's status."""
    return next(each for each in body["jobs"] if each["id"] == job_id)


# ------------------------------------------------------------------------- messes and notices


def test_admins_see_all_messes_and_unread_notices(world: World) -> None:
    """Critical feedback appears as a notice, without the student; once read, it is gone."""
    world.waste("60", mess="mess2")
    world.feedback(1, "<b>cold</b> rice")
    world.generate()
    world.move_to("2026-06-15T14:00:00+05:30")
    admin = admin_of(world)
    page = admin.read("/admin/dashboard")
    for text in ("Mess1", "Mess2", "High waste: 60.00 Kg", "1 unread", "&lt;b&gt;cold&lt;/b&gt;"):
        assert text in page
    assert "Person 1" not in page
    (notice,) = world.notices()
    path = f"/admin/notifications/{notice['id']}/read"
    assert admin.call("POST", path).status_code == 204
    assert admin.post(path).status_code == 303
    assert admin.post("/admin/notifications/999/read").status_code == 404
    assert "cold" not in admin.read("/admin/notifications?unread=1")
    assert "cold" in admin.read("/admin/notifications")


def test_reports_of_a_day_are_for_admins_and_for_officials_of_the_mess(site: World) -> None:
    """404 without a report, and for what is not a date."""
    site.waste("12.5")
    site.waste("33", mess="mess2")
    assert "/admin/reports/" not in official_of(site).read("/mess/dashboard")
    site.run_now("send_daily_report")
    report = f"/admin/reports/{TODAY}"
    assert f'href="{report}"' in official_of(site).read("/mess/dashboard")
    of_admin = admin_of(site).read(report)
    assert "12.5 Kg" in of_admin
    assert "33 Kg" in of_admin
    of_official = official_of(site).read(report)
    assert "12.5 Kg" in of_official
    assert "33 Kg" not in of_official
    assert official_of(site).get(f"{report}?mess=mess2").status_code == 403
    assert student_of(site).get(report).status_code == 403
    for day in (TODAY - timedelta(1), "2026-02-30", "today", "0001-01-01"):
        assert admin_of(site).get(f"/admin/reports/{day}").status_code == 404


# ---------------------------------------------------------------------------------- scheduler


def test_01_the_jobs_are_shown_with_their_times_in_kolkata(site: World) -> None:
    """The shape is that of the specification, and each time has the offset +05:30."""
    site.generate()
    body = admin_of(site).get(SCHEDULER).get_json()
    assert (body["running"], body["timezone"]) == (True, "Asia/Kolkata")
    assert job(body, CLEANUP) == {
        "id": CLEANUP,
        "trigger": "at 00:00, Asia/Kolkata time",
        "next_run_time": "2026-06-16T00:00:00+05:30",
        "last_run": None,
    }
    assert job(body, LUNCH)["next_run_time"] == "2026-06-15T14:00:00+05:30"
    alerts = job(body, "generate_high_low_alerts")
    assert alerts["next_run_time"].endswith("+05:30")
    assert alerts["last_run"]["outcome"] == "ok"


def test_23_an_admin_moves_the_time_of_lunch(world: World, url: str) -> None:
    """The next run follows, the id stays, and so it does in a process that starts later."""
    admin = admin_of(world)
    moved = admin.call("PATCH", f"{SCHEDULER}/jobs/{LUNCH}", {"time": "14:30"})
    assert moved.status_code == 200
    assert moved.get_json()["next_run_time"] == "2026-06-15T14:30:00+05:30"
    with app_on(url, world.clock) as restarted:
        restarted.run_due()
        again = visitor(restarted, world.rows("users")[-1]["id"])
        body = again.get(SCHEDULER).get_json()
        assert job(body, LUNCH)["next_run_time"] == "2026-06-15T14:30:00+05:30"
    form = admin.post(f"/admin/scheduler/jobs/{LUNCH}/time", time="15:10")
    assert form.status_code == 303
    assert 'value="15:10"' in admin.read("/admin/scheduler")


def test_a_time_that_is_not_one_is_refused(site: World) -> None:
    """422 in JSON and on the page; 404 for a job that has no time of a meal."""
    admin = admin_of(site)
    for body in ({"time": "25:00"}, {"time": "noon"}, {}, {"time": 14}):
        assert admin.call("PATCH", f"{SCHEDULER}/jobs/{LUNCH}", body).status_code == 422, body
    page = admin.post(f"/admin/scheduler/jobs/{LUNCH}/time", time="25:00")
    assert page.status_code == 422
    for job_id in (CLEANUP, "notify_supper_admin"):
        path = f"{SCHEDULER}/jobs/{job_id}"
        assert admin.call("PATCH", path, {"time": "14:30"}).status_code == 404


def test_26_only_admins_run_jobs_and_only_one_run_at_a_time(world: World) -> None:
    """403 for others; 202 with the id of the run; 409 while it has not finished."""
    path = f"{SCHEDULER}/jobs/{CLEANUP}/run"
    for other in (official_of(world), student_of(world)):
        assert other.call("POST", path).status_code == 403
        assert other.post(f"/admin/scheduler/jobs/{CLEANUP}/run").status_code == 403
    assert visitor(world).call("POST", path).status_code == 401
    admin = admin_of(world)
    started = admin.call("POST", path)
    assert started.status_code == 202
    assert admin.call("POST", path).status_code == 409
    assert admin.post(f"/admin/scheduler/jobs/{CLEANUP}/run").status_code == 409
    world.run_due()
    run = world.scheduler.run(started.get_json()["run_id"])
    assert (run.state, run.actor) == ("succeeded", world.rows("users")[-1]["name"])
    assert admin.call("POST", f"{SCHEDULER}/jobs/nothing/run").status_code == 404
    assert admin.post("/admin/scheduler/jobs/nothing/run").status_code == 404
    assert admin.post(f"/admin/scheduler/jobs/{CLEANUP}/run").status_code == 303


def test_admins_pause_and_resume_jobs(site: World) -> None:
    """A paused job has no next run; 409 if it is paused already. The audit trail has the name."""
    admin = admin_of(site)
    path = f"{SCHEDULER}/jobs/{CLEANUP}"
    assert admin.call("POST", f"{path}/pause").get_json()["next_run_time"] is None
    assert admin.call("POST", f"{path}/pause").status_code == 409
    assert admin.post(f"/admin/scheduler/jobs/{CLEANUP}/pause").status_code == 409
    assert "Paused" in admin.read("/admin/scheduler")
    assert admin.call("POST", f"{path}/resume").get_json()["next_run_time"] is not None
    assert admin.post(f"/admin/scheduler/jobs/{CLEANUP}/resume").status_code == 409
    name = site.rows("users")[-1]["name"]
    audit = {(event.kind, event.actor) for event in site.scheduler.events(job=CLEANUP)}
    assert {("job.paused", name), ("job.resumed", name)} <= audit


def test_the_history_has_filters(site: World) -> None:
    """By job and outcome, newest first; other filters are refused."""
    site.run_now(CLEANUP)
    site.execute("DROP TABLE mess_alerts")
    site.run_now("prune_history")
    site.pass_until(site.clock.now() + timedelta(minutes=5))
    admin = admin_of(site)

    def outcomes(query: str) -> list[tuple[str, str]]:
        runs = admin.get(f"{SCHEDULER}/history?{query}").get_json()
        return [(run["job_id"], run["outcome"]) for run in runs]

    assert outcomes("limit=2") == [("prune_history", "error"), (CLEANUP, "ok")]
    assert outcomes(f"job_id={CLEANUP}") == [(CLEANUP, "ok")]
    assert outcomes("outcome=error") == [("prune_history", "error")]
    for query in ("limit=0", "limit=501", "limit=all", "outcome=fine"):
        assert admin.get(f"{SCHEDULER}/history?{query}").status_code == 422, query
    assert admin.get("/admin/scheduler?outcome=fine").status_code == 422
    page = admin.read("/admin/scheduler?outcome=error")
    assert "mess_alerts" in page


def test_dulys_dashboard_is_for_admins(site: World) -> None:
    assert CLEANUP in admin_of(site).read("/admin/duly/jobs")
    assert official_of(site).get("/admin/duly/jobs").status_code in (401, 403)


# --------------------------------------------------------------------------- health and metrics


def test_the_application_is_ready_while_alerts_are_generated(site: World) -> None:
    """503 once the last generation is older than two hours, or if no process executes jobs."""
    nobody = visitor(site)
    site.generate()
    assert nobody.get("/healthz").get_json() == {"status": "ok"}
    assert nobody.get("/readyz").get_json() == {"problem": None, "ready": True}
    site.forward(minutes=1)
    site.scheduler.pause("generate_high_low_alerts")
    site.forward(hours=2, minutes=1)
    late = nobody.get("/readyz")
    assert (late.status_code, late.get_json()["ready"]) == (503, False)
    assert "alerts were not generated" in late.get_json()["problem"]
    site.scheduler.resume("generate_high_low_alerts")
    site.generate()
    assert nobody.get("/readyz").status_code == 200
    site.scheduler.stop()
    stopped = nobody.get("/readyz")
    assert stopped.get_json() == {"problem": "the scheduler is not running", "ready": False}


def test_metrics_are_for_the_networks_that_are_allowed(site: World) -> None:
    """They count runs, open alerts, the age of alerts, and notices that were not mailed."""
    site.waste("60")
    site.generate()
    site.forward(minutes=1)
    assert visitor(site).client.get(
        "/metrics", environ_base={"REMOTE_ADDR": "192.0.2.7"}
    ).status_code == 403  # fmt: skip
    text = visitor(site).read("/metrics")
    assert 'manageit_open_alerts{mess="mess1"} 1.0' in text
    assert 'manageit_open_alerts{mess="mess2"} 0.0' in text
    assert 'manageit_alerts_age_seconds{mess="mess2"} 60.0' in text
    assert "manageit_unsent_notices 0.0" in text
    assert 'duly_runs_total{outcome="succeeded",queue="default",task="generate_' in text
    assert "duly_attempt_duration_seconds_count" in text
