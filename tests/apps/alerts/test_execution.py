"""What a run does: items 10, 11, 19, 20 and 21 of the checklist."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from apps.alerts import triggering
from apps.alerts.models import SYSTEM_USER, Client, Instance, Membership, Notice, Task
from tests.apps.alerts.world import AUTUMN, DAILY, Person, World, world_on

DUE = datetime.fromisoformat("2025-10-14T16:00:00+00:00")


@pytest.fixture
def steady(database_url: str) -> Iterator[World]:
    """A world in which retries come at the exact second."""
    with world_on(database_url, retry_jitter=0) as world:
        yield world


class Fault:
    """Makes evaluations of chosen alerts fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: dict[str, Exception] = {}
        observe = triggering.observe

        async def faulty(session: Any, alert: Any, now: datetime) -> float | None:
            if str(alert.id) in self.errors:
                session.add(Task(alert_instance_id=SYSTEM_USER))  # which must be rolled back
                raise self.errors[str(alert.id)]
            return await observe(session, alert, now)

        monkeypatch.setattr(triggering, "observe", faulty)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


def test_10_a_due_alert_creates_one_instance_and_its_tasks(world: World) -> None:
    """Its actor is the system user, and each recipient gets one notice."""
    ana = world.person()
    alert = ana.alert(recipients=["ana@example.com"])
    calm = ana.alert(name="Calm", threshold=100)
    world.measure(3)
    world.move_to(DUE)
    world.forward(minutes=5)
    instances = {str(one.alert_id): one for one in world.instances()}
    assert len(world.instances()) == 2
    made = instances[alert["id"]]
    assert (made.triggered_by, made.trigger, made.status) == (SYSTEM_USER, "schedule", "triggered")
    assert (made.scheduled_for, made.observed_value, made.threshold) == (DUE, 3, 2.5)
    assert instances[calm["id"]].status == "ok"
    (task,) = world.tasks()
    assert (task.alert_instance_id, task.title) == (made.id, "High CPLPV Alert: 3")
    assert (task.assignee, task.status) == ("ana@example.com", "open")
    (notice,) = world.notices()
    assert (notice.user_id, notice.title) == (ana.id, "High CPLPV Alert")
    assert notice.body == "cplpv is 3, and the condition is > 2.5."
    (shown,) = ana.get(f"/{alert['id']}/instances")
    assert [one["title"] for one in shown["tasks"]] == ["High CPLPV Alert: 3"]


def test_10_a_time_is_executed_once_whatever_happens(world: World) -> None:
    """If an instance of the time exists already, the run leaves nothing and is skipped."""
    ana = world.person()
    alert = ana.alert()
    world.add(
        Instance(
            alert_id=UUID(alert["id"]), client_id=world.client_id,
            triggered_by=SYSTEM_USER, trigger="schedule", scheduled_for=DUE, triggered_at=DUE,
            condition_met=False, threshold=1, status="ok",
        )
    )  # fmt: skip
    world.move_to(DUE)
    (run,) = ana.get(f"/{alert['id']}/runs")
    assert (run["outcome"], len(world.instances())) == ("skipped", 1)
    assert "executed already" in run["reason"]


def test_11_an_error_rolls_back_and_stops_nobody(
    world: World, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported in logs, history and metrics, and told to the admins."""
    ana, otto = world.person(), world.admin()
    bad, good = ana.alert(name="Bad"), ana.alert(name="Good")
    fault.errors[bad["id"]] = ValueError("no such figure")
    with caplog.at_level(logging.ERROR, "duly"):
        world.move_to(DUE)
    assert [str(one.alert_id) for one in world.instances()] == [good["id"]]
    assert world.tasks() == []
    (run,) = ana.get(f"/{bad['id']}/runs")
    assert (run["outcome"], run["error"]) == ("error", "ValueError: no such figure")
    assert any("no such figure" in record.getMessage() for record in caplog.records)
    assert [item["id"] for item in otto.get("/scheduler/runs", outcome="error")["items"]] == [
        run["id"]
    ]
    metric = 'duly_runs_total{outcome="failed",queue="alerts",task="execute_alert"} 1.0'
    assert metric in world.http.get("/metrics").text.splitlines()
    world.wait_for(world.scheduler.aio.send_notices)
    world.forward(seconds=1)
    told = [notice.title for notice in world.notices() if notice.user_id == otto.id]
    assert len(told) == 1
    assert "failed" in told[0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("update app.alerts set deleted_at = created_at", "the alert was deleted"),
        ("update app.alerts set is_active = false", "the alert is not active"),
        ("update app.alerts set client_id = (select id from app.clients where name = 'Other')",
         "the alert belongs to another client now"),
    ],
    ids=["deleted", "inactive", "moved"],
)  # fmt: skip
def test_19_an_alert_that_changed_since_it_was_due_creates_nothing(
    world: World, damage: str, reason: str
) -> None:
    """Even if its job is still there: the run looks at the row, and is recorded as skipped."""
    world.add(Client(name="Other"))
    world.measure(3)
    alert = world.person().alert()
    world.execute(damage)
    world.move_to(DUE)
    assert (world.instances(), world.tasks()) == ([], [])
    (run,) = world.scheduler.runs(queue="alerts")
    assert (run.state, run.reason, run.args["alert_id"]) == ("discarded", reason, alert["id"])
    world.forward(minutes=1)
    if reason != "the alert belongs to another client now":
        assert world.scheduler.jobs(tag="alerts") == []


def test_19_deleting_an_alert_cancels_what_is_due(world: World) -> None:
    """Deleted after its time and before its run has started, it does not run."""
    ana = world.person()
    alert = ana.alert()
    world.clock.advance((DUE - AUTUMN).total_seconds())
    assert ana.call("DELETE", f"/{alert['id']}").status_code == 204
    world.run_due()
    assert world.instances() == []


def test_20_a_transient_failure_is_retried(steady: World, fault: Fault) -> None:
    """After 30 s and 60 s, for the same scheduled time; the third attempt succeeds."""
    world, ana = steady, steady.person()
    alert = ana.alert()
    fault.errors[alert["id"]] = ConnectionError("no answer")
    world.move_to(DUE)
    for seconds in (30, 60):
        (run,) = world.runs(alert["id"])
        assert (run.state, run.due_at - world.clock.now()) == (
            "scheduled", timedelta(seconds=seconds),
        )  # fmt: skip
        if seconds == 60:
            fault.errors.clear()
        world.forward(seconds=seconds - 1)
        assert world.runs(alert["id"])[0].state == "scheduled"
        world.forward(seconds=1)
    (run,) = world.runs(alert["id"])
    assert (run.state, run.attempt, run.scheduled_for) == ("succeeded", 3, DUE)
    (instance,) = world.instances()
    assert (instance.trigger, instance.scheduled_for) == ("retry", DUE)


def test_20_an_alert_may_have_a_retry_policy_of_its_own(steady: World, fault: Fault) -> None:
    """Its number of attempts and its waits take the place of the default ones."""
    world = steady
    alert = world.person().alert(retry={"max_attempts": 2, "base_seconds": 10, "jitter": 0})
    fault.errors[alert["id"]] = TimeoutError("too slow")
    world.move_to(DUE)
    world.forward(seconds=10)
    (run,) = world.runs(alert["id"])
    assert (run.state, run.attempt) == ("failed", 2)


def test_20_a_permanent_failure_is_a_dead_letter(world: World, fault: Fault) -> None:
    """It is not retried; requeue runs the same time again, once; discard closes it."""
    ana, otto = world.person(), world.admin()
    alert, other = ana.alert(), ana.alert(name="Other")
    fault.errors = {one["id"]: KeyError("spend") for one in (alert, other)}
    world.move_to(DUE)
    fault.errors.clear()
    letters = {one["alert_id"]: one for one in otto.get("/scheduler/dead-letters")["items"]}
    letter = letters[alert["id"]]
    assert (letter["attempts"], letter["last_error"]) == (1, "KeyError: 'spend'")
    assert letter["payload"] == {"alert_id": alert["id"], "client_id": str(world.client_id)}
    path = f"/scheduler/dead-letters/{letter['id']}"
    assert otto.post(f"{path}/requeue").status_code == 202
    assert otto.post(f"{path}/requeue").status_code == 409
    world.forward(minutes=1)
    assert otto.post(f"{path}/requeue").status_code == 409
    (instance,) = world.instances()
    assert (instance.trigger, instance.scheduled_for) == ("retry", DUE)
    left = f"/scheduler/dead-letters/{letters[other['id']]['id']}"
    assert otto.post(f"{left}/discard").status_code == 204
    assert otto.post(f"{left}/discard").status_code == 409
    assert otto.get("/scheduler/dead-letters")["items"] == []
    (closed,) = otto.get("/scheduler/dead-letters", status="discarded")["items"]
    assert closed["alert_id"] == other["id"]
    assert {event.actor for event in world.scheduler.events(kind="run.revived")} == {str(otto.id)}
    for unknown in ("nothing", "019b76da-f620-7001-b7b6-9ec6c3d914ba"):
        assert otto.post(f"/scheduler/dead-letters/{unknown}/requeue").status_code == 404


def test_20_the_next_regular_run_replaces_a_pending_retry(steady: World, fault: Fault) -> None:
    """The retry of an earlier time is cancelled when the alert is due again."""
    world = steady
    alert = world.person().alert(
        frequency={"type": "interval", "every_minutes": 5},
        retry={"max_attempts": 5, "base_seconds": 600},
    )
    fault.errors[alert["id"]] = ConnectionError("no answer")
    world.forward(minutes=5)
    fault.errors.clear()
    world.forward(minutes=5)
    newer, older = world.runs(alert["id"])
    assert (newer.state, older.state) == ("succeeded", "cancelled")
    assert len(world.instances()) == 1


def after(person: Person, child: Any, *parents: Any, **options: Any) -> Any:
    """Let an alert run after others."""
    body = {"parents": [{"parent_id": parent["id"], **options} for parent in parents]}
    return person.call("PUT", f"/{child['id']}/dependencies", json=body)


def test_21_a_child_runs_once_after_each_run_of_its_parent(world: World) -> None:
    """Its instance names that of the parent; it has no schedule of its own."""
    ana, otto = world.person(), world.admin()
    parent, child = ana.alert(name="Parent"), ana.alert(name="Child", frequency=None)
    assert child["scheduling"]["next_run_time"] is None
    assert after(ana, child, parent).json() == ana.get(f"/{child['id']}/dependencies")
    jobs = {job["name"]: job["trigger"] for job in otto.get("/scheduler/status")["jobs"]}
    assert jobs["Alert: Child"] == "none"
    assert jobs["Alert: Child (after Parent)"].startswith("after[")
    for day in (0, 1):
        world.move_to(DUE + timedelta(days=day))
    made = world.instances()
    of_child = [one for one in made if str(one.alert_id) == child["id"]]
    of_parent = [one for one in made if str(one.alert_id) == parent["id"]]
    assert {one.parent_instance_id for one in of_child} == {one.id for one in of_parent}
    assert len(of_child) == len(of_parent) == 2
    assert {one.trigger for one in of_child} == {"dependency"}


def test_21_any_of_several_parents_starts_the_child(world: World) -> None:
    """Also with a schedule of its own; a grandchild follows every run of the child."""
    ana = world.person()
    one, two = ana.alert(name="1"), ana.alert(name="2", frequency={**DAILY, "time": "09:10"})
    child = ana.alert(name="3", frequency={**DAILY, "time": "09:20"})
    grandchild = ana.alert(name="4", frequency=None)
    assert after(ana, grandchild, child).status_code == 200
    assert after(ana, child, one, two).status_code == 200
    for minutes in (0, 10, 20):
        world.move_to(DUE + timedelta(minutes=minutes))
    made = [str(instance.alert_id) for instance in world.instances()]
    assert [made.count(alert["id"]) for alert in (one, two, child, grandchild)] == [1, 1, 3, 3]
    assert ana.call("DELETE", f"/{child['id']}").status_code == 204
    world.move_to(DUE + timedelta(days=1))
    made = [str(instance.alert_id) for instance in world.instances()]
    assert [made.count(alert["id"]) for alert in (one, two, child, grandchild)] == [2, 1, 3, 3]


@pytest.mark.parametrize(
    ("condition", "value", "fails", "runs"),
    [
        ("on_success", 1, False, True), ("on_success", 1, True, False),
        ("on_triggered", 9, False, True), ("on_triggered", 1, False, False),
        ("on_failure", 1, True, True), ("on_failure", 1, False, False),
        ("always", 1, True, True), ("always", 1, False, True),
    ],
)  # fmt: skip
def test_21_the_outcome_of_the_parent_decides(  # noqa: PLR0917 - a table of cases
    world: World, fault: Fault, condition: str, value: float, fails: bool, runs: bool
) -> None:
    """Where it does not match, the child's run is recorded as skipped, with the reason."""
    ana = world.person()
    parent, child = ana.alert(name="Parent"), ana.alert(name="Child", frequency=None)
    assert after(ana, child, parent, condition=condition).status_code == 200
    if fails:
        fault.errors[parent["id"]] = ValueError("broken")
    world.measure(value)
    world.move_to(DUE)
    (run,) = ana.get(f"/{child['id']}/runs")
    assert run["outcome"] == ("ok" if runs else "skipped")
    assert bool(run["reason"]) is not runs


def test_21_a_delay_postpones_the_child(world: World) -> None:
    """It runs that many seconds after the end of its parent."""
    ana = world.person()
    parent, child = ana.alert(name="Parent"), ana.alert(name="Child", frequency=None)
    assert after(ana, child, parent, delay_seconds=90).status_code == 200
    world.move_to(DUE)
    world.forward(seconds=89)
    assert [str(one.alert_id) for one in world.instances()] == [parent["id"]]
    world.forward(seconds=1)
    assert len(world.instances()) == 2


def test_21_cycles_and_other_clients_are_refused(world: World) -> None:
    """409 for a cycle, 422 for an alert of another client and for a chain that is too long."""
    ana = world.person()
    chain = [ana.alert(name=f"{number}", frequency=None) for number in range(12)]
    for parent, child in pairwise(chain[:11]):
        assert after(ana, child, parent).status_code == 200
    assert after(ana, chain[0], chain[10]).status_code == 409
    assert after(ana, chain[0], chain[0]).status_code == 409
    assert after(ana, chain[11], chain[10]).status_code == 422
    other = world.add(Client(name="Other")).id
    world.add(Membership(user_id=ana.id, client_id=other))
    foreign = ana.alert(client_id=str(other))
    assert after(ana, foreign, chain[0]).status_code == 422
    assert ana.get(f"/{chain[0]['id']}/dependencies") == {"parents": []}
    assert ana.get(f"/{foreign['id']}/dependencies") == {"parents": []}


def test_a_single_run_leaves_its_alert_inactive(world: World) -> None:
    """``once`` runs at its time, and then the alert has no job."""
    ana = world.person()
    alert = ana.alert(frequency={"type": "once", "at": DUE.isoformat()})
    world.move_to(DUE)
    world.forward(minutes=1)
    assert ana.get(f"/{alert['id']}")["scheduling"]["state"] == "inactive"
    assert (len(world.instances()), world.scheduler.jobs(tag="alerts")) == (1, [])


def test_a_notice_is_delivered_once(world: World) -> None:
    """A second delivery with the same key changes nothing; unknown addresses need a server."""
    ana = world.person()
    call = {"key": "k", "title": "t", "body": "b"}
    for recipient in ("ana@example.com", "ana@example.com", "nobody@example.com"):
        world.scheduler.enqueue("deliver_notice", args={**call, "recipient": recipient})
    world.run_due()
    (notice,) = world.rows(Notice)
    assert (notice.user_id, notice.key) == (ana.id, "k")
    (failed,) = world.scheduler.runs(state="failed")
    assert "SMTP_HOST is not set" in (failed.error_message or "")


def test_the_system_user_needs_its_right(world: World) -> None:
    """If its row is switched off, runs fail with the reason, and create nothing."""
    alert = world.person().alert()
    world.execute("update app.users set is_active = false where role = 'system'")
    world.move_to(DUE)
    (run,) = world.runs(alert["id"])
    assert (run.state, run.error_type, world.instances()) == ("failed", "NotPermitted", [])
