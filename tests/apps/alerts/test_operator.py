"""What admins see and do: items 12 to 15, 22 and 29 of the checklist."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apps.alerts import scheduling, triggering
from apps.alerts.alerts import create
from apps.alerts.models import Alert
from apps.alerts.scheduling import reloading
from duly.model.run import TERMINAL
from tests.apps.alerts.world import DAILY, World, alert_body, world_on
from tests.support.waiting import wait_until

DUE = datetime.fromisoformat("2025-10-14T16:00:00+00:00")
STATUS_KEYS = {"status", "job_count", "jobs"}
JOB_KEYS = {"id", "name", "next_run_time", "trigger"}
ROUTES = [
    ("GET", "status"), ("POST", "reload"), ("POST", "start"), ("POST", "stop"), ("GET", "runs"),
    ("GET", "dead-letters"), ("POST", "dead-letters/x/requeue"), ("POST", "dead-letters/x/discard"),
    ("POST", "jobs/x/run"), ("POST", "jobs/x/pause"), ("POST", "jobs/x/resume"),
]  # fmt: skip


def test_12_the_status_has_its_shape(world: World) -> None:
    """The keys of the specification, and a count that equals the length of the list."""
    ana, otto = world.person(), world.admin()
    for hour in ("09", "10", "11"):
        ana.alert(frequency={**DAILY, "time": f"{hour}:00"})
    status = otto.get("/scheduler/status")
    assert status.keys() >= STATUS_KEYS
    assert (status["status"], status["job_count"], len(status["jobs"])) == ("running", 3, 3)
    assert all(job.keys() >= JOB_KEYS for job in status["jobs"])
    paused = status["jobs"][0]["id"]
    assert otto.post(f"/scheduler/jobs/{paused}/pause").status_code == 204
    assert otto.post(f"/scheduler/jobs/{paused}/pause").status_code == 409
    assert otto.get("/scheduler/status")["jobs"][0]["next_run_time"] is None
    assert otto.post(f"/scheduler/jobs/{paused}/resume").status_code == 204
    assert otto.post(f"/scheduler/jobs/{paused}/resume").status_code == 409
    assert otto.get("/scheduler/status")["jobs"] == status["jobs"]


def test_13_only_admins_reach_the_scheduler(world: World) -> None:
    """401 without a token, 403 for a client user, on every route."""
    ana = world.person()
    for method, route in ROUTES:
        path = f"/scheduler/{route}"
        assert world.http.request(method, f"/api/v1/alerts{path}").status_code == 401
        assert ana.call(method, path).status_code == 403
    paths = world.http.get("/openapi").json()["paths"]
    served = [path.rpartition("/scheduler/")[2] for path in paths if "/scheduler/" in path]
    tried = [route.replace("/x", "/{}", 1) for _, route in ROUTES]
    assert sorted(re.sub(r"{\w+}", "{}", path) for path in served) == sorted(tried)


def test_14_stop_and_start(database_url: str) -> None:
    """Nothing runs until start, also after a restart; then one overdue run within grace does."""
    with world_on(database_url) as world:
        ana, otto = world.person(), world.admin()
        alert = ana.alert(frequency={"type": "interval", "every_minutes": 5})
        for _ in range(2):
            assert otto.post("/scheduler/stop").json() == {"status": "stopped", "job_count": 1}
        world.move_to(DUE)
        assert world.runs(alert["id"]) == []
        assert otto.get("/scheduler/status")["status"] == "stopped"
        ready = world.http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "stopped")
    with world_on(database_url, DUE + timedelta(minutes=2)) as world:
        otto = world.person("olga@example.com", role="admin")
        world.forward(minutes=1)
        assert world.runs(alert["id"]) == []
        for _ in range(2):
            assert otto.post("/scheduler/start").json() == {"status": "running", "job_count": 1}
        world.run_due()
        runs = world.runs(alert["id"], state="succeeded")
        assert [run.scheduled_for for run in runs] == [DUE]
        assert len(world.instances()) == 1
        (missed,) = world.scheduler.missed(f"alert_{alert['id']}")
        assert missed.count == 47


def test_15_a_reload_of_the_unchanged_changes_nothing(world: World) -> None:
    """All jobs are reported as unchanged, and keep their next runs and revisions."""
    ana, otto = world.person(), world.admin()
    parent, child = ana.alert(), ana.alert(frequency={"type": "interval", "every_minutes": 7})
    body = {"parents": [{"parent_id": parent["id"]}]}
    assert ana.call("PUT", f"/{child['id']}/dependencies", json=body).status_code == 200
    before = world.scheduler.jobs(tag="alerts")
    assert otto.post("/scheduler/reload").json() == {
        "message": "Alert jobs reloaded.", "job_count": 3, "added": 0, "updated": 0, "removed": 0,
        "unchanged": 3, "errors": [],
    }  # fmt: skip
    assert world.scheduler.jobs(tag="alerts") == before


def test_15_a_reload_repairs_what_was_damaged_by_hand(world: World) -> None:
    """Missing jobs are added, others removed, and changed rows read again."""
    ana, otto = world.person(), world.admin()
    alerts = [ana.alert(name=name) for name in ("kept", "lost", "off", "moved")]
    world.scheduler.remove(f"alert_{alerts[1]['id']}")
    world.execute("update app.alerts set is_active = false where name = 'off'")
    later = '{"type": "daily", "time": "10:00", "timezone": "UTC"}'
    world.execute("update app.alerts set frequency = '" + later.replace(":", "\\:") + "'"
                  " where name = 'moved'")  # fmt: skip
    done = otto.post("/scheduler/reload").json()
    assert [done[key] for key in ("added", "updated", "removed", "unchanged", "job_count")] == [
        1, 1, 1, 1, 3,
    ]  # fmt: skip
    moved = world.scheduler.job(f"alert_{alerts[3]['id']}")
    assert moved.next_fire_at == datetime.fromisoformat("2025-10-15T10:00:00+00:00")


def test_15_one_reload_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """409 while another one is in progress."""
    otto = world.admin()
    monkeypatch.setattr(reloading, "locked", lambda: True)
    assert otto.post("/scheduler/reload").status_code == 409


def test_15_alerts_that_change_during_a_reload_keep_their_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is created, and one becomes active again, after the reload has read which alerts are."""
    ana, otto = world.person(), world.admin()
    back = ana.alert(name="back")
    world.execute("update app.alerts set is_active = false")
    repair = scheduling._repair
    values = {**alert_body(world.client_id), "client_id": world.client_id, "recipients": []}

    async def late(*arguments: Any) -> Any:
        async with world.services.database.begin() as session:
            alert = await session.get_one(Alert, UUID(back["id"]))
            alert.is_active = True
            extra = {"lookback": timedelta(days=1), "name": "new"}
            await create(world.services, session, ana.user, {**values, **extra})
        return await repair(*arguments)

    monkeypatch.setattr(scheduling, "_repair", late)
    done = otto.post("/scheduler/reload").json()
    assert (done["removed"], done["job_count"]) == (0, 2)
    assert {alert["scheduling"]["state"] for alert in ana.get("/")} == {"scheduled"}


def test_22_an_unreadable_frequency_stops_nobody(database_url: str) -> None:
    """The application starts, the alert is listed as unschedulable and told, others run."""
    with world_on(database_url) as world:
        ana, otto = world.person(), world.admin()
        bad, good = ana.alert(name="bad"), ana.alert(name="good")
        broken = '{"type": "weekly", "time": "10:00", "dayOfWeek": [1, 9]}'.replace(":", "\\:")
        world.execute(f"update app.alerts set frequency = '{broken}' where name = 'bad'")
    with world_on(database_url, DUE - timedelta(seconds=10), scheduler_enabled=True) as world:
        wait_until(world.notices, what="the notice")
        world.clock.advance(10)
        wait_until(world.instances, what="the run of the other alert")
        olga = world.person("olga@example.com", role="admin")
        (listed,) = olga.get("/scheduler/status")["unschedulable"]
        assert (listed["alert_id"], listed["name"]) == (bad["id"], "bad")
        assert listed["detail"].startswith("frequency.dayOfWeek[1]: 9 is not a day")
        assert listed["frequency"]["dayOfWeek"] == [1, 9]
        assert [str(one.alert_id) for one in world.instances()] == [good["id"]]
        # Operators may hear of other things too, such as a worker that lost its lease.
        titles = [notice.title for notice in world.notices() if notice.user_id == otto.id]
        assert titles.count("bad cannot be scheduled") == 1
        eve = world.person("eve@example.com", client=ana.client)
        shown = eve.get(f"/{bad['id']}")
        assert shown["scheduling"]["state"] == "error"
        assert shown["scheduling"]["detail"] == listed["detail"]
        repaired = eve.patch(f"/{bad['id']}", frequency=DAILY).json()
        assert repaired["scheduling"]["state"] == "scheduled"
        assert olga.get("/scheduler/status")["unschedulable"] == []


def test_29_the_metrics_agree_with_the_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each outcome, the counter equals the number of runs in that state."""
    ana = world.person()
    alerts = [ana.alert(name=str(number)) for number in range(6)]
    observe = triggering.observe

    async def sometimes(session, alert, now):
        if alert.name in ("1", "2"):
            raise ValueError("broken")
        return await observe(session, alert, now)

    monkeypatch.setattr(triggering, "observe", sometimes)
    world.execute("update app.alerts set deleted_at = created_at where name = '3'")
    child = ana.alert(name="child", frequency=None)
    body = {"parents": [{"parent_id": alerts[1]["id"]}]}
    ana.call("PUT", f"/{child['id']}/dependencies", json=body)
    world.move_to(DUE)
    world.move_to(DUE + timedelta(days=1, minutes=20))
    counted: dict[str, float] = {}
    for family in text_string_to_metric_families(world.http.get("/metrics").text):
        for sample in family.samples:
            if sample.name == "duly_runs_total" and sample.labels["queue"] == "alerts":
                outcome = sample.labels["outcome"]
                counted[outcome] = counted.get(outcome, 0) + sample.value
    stored = {state: world.scheduler.count_runs(queue="alerts", state=state) for state in TERMINAL}
    assert {state: number for state, number in stored.items() if number} == counted
    assert counted["failed"] == 2
    assert counted["missed"] == 5
    assert counted["succeeded"] == 3
    assert (counted["skipped"], counted["discarded"]) == (2, 1)


def test_jobs_are_run_by_hand(world: World) -> None:
    """202 with the run; 404 for an unknown job; 409 while one is waiting or executing."""
    ana, otto = world.person(), world.admin()
    alert = ana.alert()
    path = f"/scheduler/jobs/alert_{alert['id']}/run"
    run = otto.post(path)
    assert (run.status_code, run.json()["actor"]) == (202, str(otto.id))
    assert otto.post(path).status_code == 409
    world.run_due()
    (instance,) = world.instances()
    assert (instance.trigger, instance.scheduled_for) == ("manual", None)
    assert otto.post("/scheduler/jobs/nothing/run").status_code == 404


def test_the_history_is_filtered(world: World) -> None:
    """By outcome, alert and time, in pages; wrong values are refused."""
    ana, otto = world.person(), world.admin()
    alert, other = ana.alert(), ana.alert(name="Other")
    world.move_to(DUE)
    world.move_to(DUE + timedelta(days=1))
    everything = otto.get("/scheduler/runs")
    assert (len(everything["items"]), everything["more"]) == (4, False)
    own = otto.get("/scheduler/runs", alert_id=alert["id"], outcome="ok")["items"]
    assert [run["alert_id"] for run in own] == [alert["id"]] * 2
    page = otto.get("/scheduler/runs", limit=3)
    assert page["more"]
    rest = otto.get("/scheduler/runs", after=page["items"][-1]["id"])["items"]
    assert [*page["items"], *rest] == everything["items"]
    assert otto.get("/scheduler/runs", since=(DUE + timedelta(hours=1)).isoformat())["items"] == [
        run for run in everything["items"] if run["scheduled_for"] > "2025-10-15"
    ]
    assert otto.get("/scheduler/runs", alert_id=other["id"], outcome="missed")["items"] == []
    for wrong in ({"outcome": "good"}, {"after": "x"}, {"limit": 0}, {"alert_id": "x"}):
        assert otto.call("GET", "/scheduler/runs", params=wrong).status_code == 422


def test_a_process_without_scheduler_or_reconciliation_is_not_ready(world: World) -> None:
    """Ready means that somebody executes, and that the last reconciliation is recent."""
    assert world.http.get("/health").json() == {"status": "ok"}
    assert world.http.get("/health/ready").status_code == 200
    world.clock.advance(timedelta(minutes=10).total_seconds())
    answer = world.http.get("/health/ready")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    world.run_due()
    assert world.http.get("/health/ready").status_code == 200


def test_what_does_not_run_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An alert that was scheduled, one that ran, and one whose time was missed, by their names."""
    with caplog.at_level(logging.INFO, "apps.alerts"):
        alert = world.person().alert()
        world.move_to(DUE)
        world.move_to(DUE + timedelta(days=1, hours=1))
    lines = [record.getMessage() for record in caplog.records]
    assert f"Scheduled 'High CPLPV Alert' ({alert['id']})" in lines[0]
    assert "Executed 'High CPLPV Alert': ok." in lines
    missed = f"alert_{alert['id']} did not run (run.missed): "
    assert len([line for line in lines if line.startswith(missed)]) == 1


def test_metrics_are_for_allowed_networks(database_url: str) -> None:
    """403 for others."""
    with world_on(database_url, metrics_networks="10.0.0.0/8") as world:
        assert world.http.get("/metrics").status_code == 403
