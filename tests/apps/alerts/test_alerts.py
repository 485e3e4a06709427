"""Creating, changing and deleting alerts: items 7 to 9, 25 and 26 of the checklist."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.alerts import alerts, scheduling
from apps.alerts.accounts import add_user
from apps.alerts.models import SYSTEM_USER, Alert, Client
from apps.alerts.tokens import ACCESS
from duly.errors import DatabaseUnavailable
from tests.apps.alerts.world import DAILY, World, alert_body

LOGIN = "/api/v1/auth/login"


@pytest.mark.parametrize(
    ("frequency", "detail"),
    [
        ({"type": "yearly", "time": "09:00"}, "frequency.type: 'yearly' is not valid"),
        ({**DAILY, "time": "24:00"}, "frequency.time: '24:00' is not a time"),
        ({"type": "weekly", "time": "09:00", "dayOfWeek": [1, 9]},
         "frequency.dayOfWeek[1]: 9 is not a day"),
        ({"type": "weekly", "time": "09:00", "dayOfWeek": [8]},
         "frequency.dayOfWeek[0]: 8 is not a day"),
        ({"type": "weekly", "time": "09:00", "dayOfWeek": []}, "frequency.dayOfWeek: must have"),
        ({"type": "weekly", "time": "09:00"}, "frequency.dayOfWeek: is required"),
        ({"type": "monthly", "time": "09:00", "dayOfMonth": [0]},
         "frequency.dayOfMonth[0]: 0 is not a day"),
        ({**DAILY, "timezone": "Mars/Base"}, "frequency.timezone: is invalid"),
        ({**DAILY, "tiem": "09:00"}, "frequency.tiem: is not a valid key"),
        ({"type": "interval", "every_minutes": 4}, "frequency.every_minutes: "),
        ({"type": "cron", "expression": "*/2 * * * *"}, "frequency: it runs more often"),
        ({"type": "daily", "times": ["23:58", "00:01"]}, "frequency: it runs more often"),
        ({"type": "once", "at": "2020-01-01T00:00:00Z"}, "frequency: it has no time"),
        ("daily", "frequency: "),
    ],
)  # fmt: skip
def test_07_an_invalid_frequency_is_refused(world: World, frequency: Any, detail: str) -> None:
    """422 that names the field; nothing is saved, by a creation, a change or a preview."""
    ana = world.person()
    alert = ana.alert()
    answers = [
        ana.try_alert(frequency=frequency),
        ana.patch(f"/{alert['id']}", frequency=frequency),
        ana.patch(f"/{alert['id']}/frequency", frequency=frequency),
        ana.post("/frequency/preview", frequency=frequency),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(detail)
    assert ana.get("/") == [alert]
    assert len(world.scheduler.jobs(tag="alerts")) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""}, {"threshold": "NaN"}, {"operator": "!="}, {"metric": "a b"},
        {"recipients": ["nobody"]}, {"lookback": 0}, {"colour": "red"},
        {"retry": {"max_attempts": 0}}, {"retry": {"tries": 3}}, {"task_template": {}},
    ],
    ids=str,
)  # fmt: skip
def test_07_other_invalid_fields_are_refused(world: World, values: dict[str, Any]) -> None:
    """422 that names the field."""
    answer = world.person().try_alert(**values)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(next(iter(values)))
    assert world.rows(Alert) == []


def test_08_the_job_follows_the_alert(world: World) -> None:
    """A new frequency moves the next run; inactive and deleted alerts have no job."""
    ana = world.person()
    alert = ana.alert()
    path = f"/{alert['id']}"

    def next_run() -> str | None:
        scheduling: dict[str, Any] = ana.get(path)["scheduling"]
        found: str | None = scheduling["next_run_time"]
        return found

    changed = ana.patch(f"{path}/frequency", frequency={**DAILY, "time": "11:00"}).json()
    assert changed["next_run_times"][:2] == ["2025-10-14T18:00:00Z", "2025-10-15T18:00:00Z"]
    assert len(changed["next_run_times"]) == 5
    assert next_run() == "2025-10-14T18:00:00+00:00"
    assert ana.patch(path, name="Another").json()["scheduling"]["state"] == "scheduled"
    off = ana.patch(path, is_active=False).json()
    assert off["scheduling"] == {"state": "inactive", "next_run_time": None, "detail": None}
    assert world.scheduler.jobs(tag="alerts") == []
    on = ana.patch(path, is_active=True).json()
    assert on["scheduling"]["next_run_time"] == "2025-10-14T18:00:00+00:00"
    assert on["schedule_version"] == 5
    assert ana.call("DELETE", path).status_code == 204
    assert world.scheduler.jobs(tag="alerts") == []
    assert ana.call("GET", path).status_code == 404
    world.forward(days=2)
    assert world.instances() == []


def test_09_a_fault_of_the_scheduler_does_not_fail_the_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """201 with the state ``pending``, and the job appears within a minute."""
    ana = world.person()

    async def broken(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.scheduler.aio), "sync", broken)
        alert = ana.alert()
    assert alert["scheduling"]["state"] == "pending"
    assert world.scheduler.jobs(tag="alerts") == []
    world.forward(minutes=1)
    (job,) = world.scheduler.jobs(tag="alerts")
    shown = ana.get(f"/{alert['id']}")["scheduling"]
    assert shown["state"] == "scheduled"
    assert shown["next_run_time"] == "2025-10-14T16:00:00+00:00"
    assert job.id == f"alert_{alert['id']}"


def test_09_an_alert_and_its_job_are_one_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the alert is not stored, its job is not either."""
    ana = world.person()

    async def store_and_fail(*arguments: Any) -> None:
        await scheduling.schedule(*arguments)
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(alerts, "schedule", store_and_fail)
    with pytest.raises(RuntimeError, match="disk is full"):
        ana.try_alert()
    assert (world.rows(Alert), world.scheduler.jobs(tag="alerts")) == ([], [])


def test_25_alerts_of_other_clients_do_not_exist(world: World) -> None:
    """404 for every route, and nothing changes."""
    other = world.add(Client(name="Other")).id
    ana, ben = world.person(), world.person("ben@example.com", client=other)
    alert = ana.alert()
    path = f"/{alert['id']}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None), ("PATCH", path, {"name": "mine"}), ("DELETE", path, None),
        ("POST", f"{path}/trigger", None), ("GET", f"{path}/instances", None),
        ("PATCH", f"{path}/frequency", {"frequency": DAILY}), ("GET", f"{path}/runs", None),
        ("GET", f"{path}/dependencies", None), ("PUT", f"{path}/dependencies", {"parents": []}),
    ]  # fmt: skip
    for method, where, body in calls:
        answer = ben.call(method, where, **({} if body is None else {"json": body}))
        assert (method, where, answer.status_code) == (method, where, 404)
        nowhere = where.replace(alert["id"], str(uuid4()))
        body_of = {} if body is None else {"json": body}
        assert ben.call(method, nowhere, **body_of).json() == answer.json()
    assert ben.get("/") == []
    assert ben.try_alert(client_id=str(ana.client)).status_code == 404
    own = ben.alert()
    assert ben.patch(f"/{own['id']}", client_id=str(ana.client)).status_code == 404
    named = {"parents": [{"parent_id": alert["id"]}]}
    assert ben.call("PUT", f"/{own['id']}/dependencies", json=named).status_code == 404
    assert ana.get(path) == alert


def test_26_the_system_user_cannot_sign_in(world: World) -> None:
    """Neither by a password nor by a token; and it is a row, so that runs can refer to it."""
    for password in ("", "none", "system"):
        body = {"email": "system", "password": password}
        assert world.http.post(LOGIN, json=body).status_code == 401
    token = world.services.tokens.issue("access", SYSTEM_USER, ACCESS)
    headers = {"authorization": f"Bearer {token}"}
    for path in ("/api/v1/alerts/", "/api/v1/alerts/scheduler/status"):
        assert world.http.get(path, headers=headers).status_code == 401


def test_users_sign_in_with_their_password(world: World) -> None:
    """The token opens the API until it expires."""

    async def add() -> Any:
        return await add_user(
            world.services, "Eva@example.com", "a good password", "client", [world.client_id]
        )

    world.wait_for(add)
    body = {"email": "eva@example.com", "password": "a good password"}
    answer = world.http.post(LOGIN, json=body).json()
    headers = {"authorization": f"Bearer {answer['access_token']}"}
    assert world.http.get("/api/v1/alerts/", headers=headers).json() == []
    wrong = world.http.post(LOGIN, json={**body, "password": "another password"})
    assert (wrong.status_code, list(wrong.json())) == (401, ["detail"])
    world.clock.advance(ACCESS.total_seconds() + 1)
    assert world.http.get("/api/v1/alerts/", headers=headers).status_code == 401


def test_a_client_has_at_most_500_active_alerts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is refused, also by activating an inactive one; other clients are not affected."""
    monkeypatch.setattr(alerts, "MOST_ACTIVE", 2)
    ana = world.person()
    first, _second = ana.alert(), ana.alert()
    assert ana.try_alert().status_code == 422
    spare = ana.alert(is_active=False)
    assert ana.patch(f"/{spare['id']}", is_active=True).status_code == 422
    assert ana.patch(f"/{first['id']}", is_active=False).status_code == 200
    assert ana.patch(f"/{spare['id']}", is_active=True).status_code == 200
    other = world.add(Client(name="Other")).id
    world.person("ben@example.com", client=other).alert()


def test_alerts_that_are_due_together_take_turns_by_client(world: World) -> None:
    """A client with one alert does not wait for all alerts of another client."""
    other = world.add(Client(name="Other")).id
    ana, ben = world.person(), world.person("ben@example.com", client=other)
    many = [ana.alert(name=f"many {number}")["id"] for number in range(3)]
    one = ben.alert()["id"]
    priorities = {
        job.args["alert_id"]: job.options.priority for job in world.scheduler.jobs(tag="alerts")
    }
    assert [priorities[alert] for alert in (*many, one)] == [0, 1, 2, 0]


def test_a_manual_trigger_returns_the_instance(world: World) -> None:
    """The user is its actor; an inactive alert can be triggered too."""
    ana = world.person()
    alert = ana.alert(is_active=False)
    world.measure(9)
    answer = ana.post(f"/{alert['id']}/trigger")
    assert answer.status_code == 200
    instance = answer.json()
    assert (instance["trigger"], instance["triggered_by"]) == ("manual", str(ana.id))
    assert (instance["observed_value"], instance["condition_met"]) == (9, True)
    assert [task.title for task in world.tasks()] == ["High CPLPV Alert: 9"]


def test_the_condition_is_the_average_of_the_lookback(world: World) -> None:
    """Older figures, other metrics and other clients do not count; without figures it fails."""
    ana = world.person()
    alert = ana.alert(threshold=4, operator=">=", lookback=3600)
    assert alert["lookback"] == "PT1H"
    assert ana.post(f"/{alert['id']}/trigger").json()["observed_value"] is None
    world.measure(100)
    world.clock.advance(timedelta(hours=2).total_seconds())
    world.measure(100, metric="spend")
    world.measure(100, client=world.add(Client(name="Other")).id)
    for value, met in ((3, False), (5, True)):
        world.measure(value)
        assert ana.post(f"/{alert['id']}/trigger").json()["condition_met"] is met


def test_a_body_over_the_limit_is_refused(world: World) -> None:
    """413 with a detail, before anything is read."""
    body = {**alert_body(world.client_id), "name": "x" * 70_000}
    answer = world.person().post("/", **body)
    assert (answer.status_code, list(answer.json())) == (413, ["detail"])
