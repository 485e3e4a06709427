"""The pages without a browser: who may see and send what, and what the form of an alert means."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.alerts.accounts import add_user
from apps.alerts.frequencies import schedule_of
from apps.alerts.models import Alert, Client, Role
from apps.alerts.pages.alert_form import AlertForm
from apps.alerts.settings import Settings
from tests.apps.alerts.world import World

PASSWORD = "figures-at-nine"
OURS = {"sec-fetch-site": "same-origin", "accept": "text/html"}
ZONE = "America/Los_Angeles"
FORM: dict[str, Any] = {
    "name": "High CPLPV Alert", "metric": "cplpv", "operator": ">", "threshold": "2.5",
    "lookback": "1", "lookbackUnit": "days", "is_active": "on", "timezone": ZONE,
    "type": "weekly", "times": "10:00", "weekdays": ["1", "3", "5"],
}  # fmt: skip
RULES: dict[str, dict[str, Any]] = {
    "daily": {"type": "daily", "time": "09:00"},
    "several times": {"type": "daily", "times": ["09:00", "17:30"]},
    "weekly": {"type": "weekly", "time": "10:00", "dayOfWeek": [0, 3, 5]},
    "monthly": {"type": "monthly", "time": "08:00", "dayOfMonth": [1, 15, 31]},
    "skip": {"type": "monthly", "time": "08:00", "dayOfMonth": [31], "monthEnd": "skip"},
    "weekday of the month": {
        "type": "monthly", "time": "08:00", "weekOfMonth": [-1, 2], "dayOfWeek": [2, 4],
    },
    "hourly": {"type": "hourly", "time": "00:30", "timezone": "Asia/Kolkata"},
    "crontab": {"type": "cron", "expression": "15 9 * * 1-5"},
    "interval": {"type": "interval", "every_minutes": 45},
    "anchor": {"type": "interval", "every_minutes": 7, "anchor": "2026-03-08T09:30:15+00:00"},
    "once": {"type": "once", "at": "2026-12-24T18:30:00-08:00"},
    "limits": {
        "type": "daily", "time": "09:00", "months": [1, 12], "startDate": "2026-01-05",
        "endDate": "2026-12-31", "excludeDates": ["2026-12-24", "2026-12-25"],
    },
}  # fmt: skip


class Visitor:
    """A browser's view of the pages: cookies, and the form token of the last page."""

    def __init__(self, world: World) -> None:
        self.http = world.http
        self.token = ""

    def open(self, path: str, **params: Any) -> Any:
        answer = self.http.get(path, params=params, headers={"accept": "text/html"})
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return answer

    def send(self, path: str, headers: Any = OURS, **form: Any) -> Any:
        return self.http.post(path, data={"csrf": self.token, **form}, headers=headers)

    def sign_in(self, email: str) -> Any:
        self.http.cookies.clear()
        self.open("/sign-in")
        answer = self.send("/sign-in", email=email, password=PASSWORD)
        assert answer.status_code == 200, answer.text
        self.open("/inbox")
        return answer


def visitor(world: World, email: str, role: Role = "client", client: UUID | None = None) -> Visitor:
    """Someone who has signed in with a password, by the page."""
    clients = [client or world.client_id] if role == "client" else []
    world.wait_for(add_user, world.services, email, PASSWORD, role, clients)
    visitor = Visitor(world)
    visitor.sign_in(email)
    return visitor


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Pages need no second database; what they call is tested on both."""
    return sqlite_url


def created(world: World, ana: Visitor, **fields: Any) -> str:
    answer = ana.send("/alerts/new", **{**FORM, "client_id": str(world.client_id), **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.url.path).rpartition("/")[2]


def test_a_form_that_is_not_ours_is_refused(world: World) -> None:
    """Without the token, with another visitor's, from another site, or without an origin."""
    ana = visitor(world, "ana@example.com")
    alert = created(world, ana)
    foreign: list[dict[str, str]] = [
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"}, {},
    ]  # fmt: skip
    for headers in foreign:
        answer = ana.send(f"/alerts/{alert}/delete", headers={**headers, "accept": "text/html"})
        assert answer.status_code == 403, headers
        assert "came from another site" in answer.text
    tokens = world.services.tokens
    for token in ("", "nonsense", tokens.issue("csrf", uuid4(), timedelta(hours=1))):
        assert ana.send(f"/alerts/{alert}/delete", csrf=token).status_code == 403
    assert ana.open(f"/alerts/{alert}").status_code == 200


def test_27_only_admins_see_and_use_the_operators_page(world: World) -> None:
    """Visitors are led to the sign-in page; a client user is refused, whatever is sent."""
    ana = visitor(world, "ana@example.com")
    alert = created(world, ana)
    assert ana.open("/scheduler/ui").status_code == 403
    job = f"/jobs/alert_{alert}"
    actions = ("/start", "/stop", "/reload", f"{job}/run", f"{job}/pause", f"{job}/resume",
               f"/dead-letters/{uuid4()}/requeue", f"/dead-letters/{uuid4()}/discard")  # fmt: skip
    for path in actions:
        assert ana.send(f"/scheduler{path}").status_code == 403, path
    world.http.cookies.clear()
    answer = ana.open("/scheduler/ui")
    assert answer.url.path == "/sign-in"
    assert world.http.get("/scheduler/ui", headers={"accept": "*/*"}).status_code == 401
    otto = visitor(world, "otto@example.com", "admin")
    assert "High CPLPV Alert" in otto.open("/scheduler/ui").text


def test_27_the_operators_page_controls_what_the_api_does(world: World) -> None:
    """Stop and start, reload, run, pause and resume; a refused action says why."""
    ana = visitor(world, "ana@example.com")
    job = f"alert_{created(world, ana)}"
    otto = visitor(world, "otto@example.com", "admin")
    otto.send("/scheduler/stop")
    assert world.scheduler.status().stopped
    otto.send("/scheduler/start")
    assert not world.scheduler.status().stopped
    assert "compared with their jobs" in otto.send("/scheduler/reload").text
    otto.send(f"/scheduler/jobs/{job}/pause")
    assert world.scheduler.job(job).state == "paused"
    answer = otto.send(f"/scheduler/jobs/{job}/pause")
    assert (answer.status_code, "already paused" in answer.text) == (409, True)
    otto.send(f"/scheduler/jobs/{job}/resume")
    assert world.scheduler.job(job).state == "active"
    otto.send(f"/scheduler/jobs/{job}/run")
    world.run_due()
    [instance] = world.instances()
    assert instance.trigger == "manual"
    assert otto.send("/scheduler/jobs/nothing/run").status_code == 409


def test_25_another_clients_alert_is_not_found(world: World) -> None:
    """On every page and for every action, also as a parent."""
    ana = visitor(world, "ana@example.com")
    alert = created(world, ana)
    other = world.add(Client(name="Brightside")).id
    eve = visitor(world, "eve@example.com", client=other)
    own = eve.send("/alerts/new", client_id=str(other), **FORM).url.path
    for path in ("", "/edit"):
        assert eve.open(f"/alerts/{alert}{path}").status_code == 404
    for path in ("/edit", "/trigger", "/activity", "/delete", f"/tasks/{uuid4()}"):
        assert eve.send(f"/alerts/{alert}{path}", **FORM).status_code == 404, path
    answer = eve.send(f"{own}/dependencies", parent=alert, condition="always")
    assert "does not exist" in answer.text
    answer = eve.send("/alerts/new", client_id=str(world.client_id), **FORM)
    assert (answer.status_code, len(world.rows(Alert))) == (422, 2)
    assert "High CPLPV Alert" not in eve.open("/alerts", client=str(world.client_id)).text


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_form_of_a_frequency_means_the_same_frequency(rule: dict[str, Any]) -> None:
    """A stored frequency of every kind passes through the form unchanged."""
    settings = Settings()
    stored = schedule_of(rule, settings).rule
    form = AlertForm.of(_alert(stored), ZONE)
    assert form.frequency is not None
    assert schedule_of(form.frequency, settings).rule == stored


@pytest.mark.parametrize(
    "rule", [{"type": "fortnightly"}, {"time": 9, "timezone": "Mars/Base"}, {}]
)
def test_the_form_of_an_unreadable_frequency_opens(rule: dict[str, Any]) -> None:
    """So that it can be repaired."""
    assert AlertForm.of(_alert(rule), ZONE).text("type") == "daily"


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"times": "24:00"}, "times", "is not a time from 00:00 to 23:59"),
        ({"times": ""}, "times", "This is required"),
        ({"weekdays": ["8"]}, "weekdays", "8 is not a day of the week"),
        ({"weekdays": []}, "weekdays", "must have 1 to 100 values"),
        ({"type": "monthly", "monthDays": "0"}, "monthDays", "0 is not a day of the month"),
        ({"type": "monthly", "monthDays": "first"}, "monthDays", "is not an integer"),
        ({"type": "hourly", "hourTime": "30"}, "hourTime", "is not a time"),
        ({"type": "cron", "expression": "* * *"}, "expression", "found 3 fields"),
        ({"type": "cron", "expression": "* * * * *"}, "type", "more often than every 5 minutes"),
        ({"type": "interval", "everyMinutes": "4"}, "everyMinutes", "at least 5"),
        ({"type": "once", "at": "2025-01-01T09:00"}, "type", "no time in the future"),
        ({"timezone": "Mars/Base"}, "timezone", "unknown time zone"),
        ({"name": ""}, "name", "Give the alert a name"),
        ({"metric": "Cost per click"}, "metric", "lower-case letters"),
        ({"threshold": "nan"}, "threshold", "Give a number"),
        ({"lookback": "0"}, "lookback", "from 1 minute"),
        ({"recipients": "ana@example.com, otto"}, "recipients", "e-mail addresses"),
        ({"retryAttempts": "0"}, "retry", "1 or more attempts"),
    ],
)  # fmt: skip
def test_07_a_wrong_field_is_marked_and_nothing_saved(
    world: World, fields: dict[str, Any], field: str, message: str
) -> None:
    """The message stands beside its field, and what was typed is kept."""
    ana = visitor(world, "ana@example.com")
    form = {**FORM, "client_id": str(world.client_id), **fields}
    answer = ana.send("/alerts/new", **form)
    assert answer.status_code == 422
    beside = re.search(rf'id="fault-{field}">([^<]+)<', answer.text)
    assert beside is not None
    assert message in beside[1]
    assert world.rows(Alert) == []
    if isinstance(fields.get(field), str):
        assert f'value="{fields[field]}"' in answer.text


def test_23_the_preview_shows_the_times_of_the_api(world: World) -> None:
    """The same ten times, with a warning where the frequency may be misunderstood."""
    ana = visitor(world, "ana@example.com")
    part = ana.send("/alerts/preview?part=1", **FORM)
    times = re.findall(r'<li><time datetime="([^"]+)"', part.text)
    rule = {"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5], "timezone": ZONE}
    api = world.person("api@example.com").post("/frequency/preview", frequency=rule).json()
    assert [time.replace("+00:00", "Z") for time in times] == [
        time.replace("+00:00", "Z") for time in api["next_run_times"]
    ]
    assert len(times) == 10
    warned = ana.send("/alerts/preview?part=1", **{**FORM, "type": "hourly", "hourTime": "05:30"})
    assert "uses only the minute" in warned.text


def test_the_name_of_a_passed_alert_can_be_changed(world: World) -> None:
    """A time that has passed is refused when it is chosen, and not when it is kept."""
    ana = visitor(world, "ana@example.com")
    once = {**FORM, "type": "once", "at": "2025-10-14T05:00:30", "client_id": str(world.client_id)}
    alert = created(world, ana, **once)
    world.forward(minutes=1)
    answer = ana.send(f"/alerts/{alert}/edit", **{**once, "name": "Launch"})
    assert answer.url.path == f"/alerts/{alert}"
    assert "Launch" in ana.open("/alerts").text


def test_texts_are_shown_as_text(world: World) -> None:
    ana = visitor(world, "ana@example.com")
    name = "<b>Ü</b> & 'co'"
    alert = created(world, ana, name=name, taskTitle="<i>$value</i>")
    world.measure(9)
    ana.send(f"/alerts/{alert}/trigger")
    for path in ("/alerts", f"/alerts/{alert}", f"/alerts/{alert}/edit"):
        page = ana.open(path).text
        assert "<b>Ü" not in page
        assert "<i>9" not in page
        assert "&lt;b&gt;Ü&lt;/b&gt; &amp; &#39;co&#39;" in page


def test_21_dependencies_are_chosen_on_the_page(world: World) -> None:
    """A link is added, changed and removed; a cycle is refused with the reason."""
    ana = visitor(world, "ana@example.com")
    first, second = created(world, ana), created(world, ana, type="none", name="Second")
    ana.send(f"/alerts/{second}/dependencies", parent=first, condition="always", delay="5")
    page = ana.send(f"/alerts/{second}/dependencies", parent=first, condition="on_triggered")
    assert "has triggered" in page.text
    cycle = ana.send(f"/alerts/{first}/dependencies", parent=second, condition="always")
    assert (cycle.status_code, "run after each other" in cycle.text) == (409, True)
    assert "Second" in ana.open(f"/alerts/{first}").text
    page = ana.send(f"/alerts/{second}/dependencies/{first}/remove")
    assert "runs only at its own times" in page.text


def test_27_a_damaged_alert_can_be_opened_and_repaired(world: World) -> None:
    """Its page, its form, the list and the operator's page show it."""
    ana = visitor(world, "ana@example.com")
    alert = created(world, ana, taskTitle="Look")
    world.execute("""UPDATE app.alerts SET task_template = '{"heading": "x"}', retry = '{"a": 1}',
        frequency = '{"type": "daily", "time": "9am"}', schedule_version = 2""")
    world.forward(minutes=1)
    for path in ("/alerts", f"/alerts/{alert}", f"/alerts/{alert}/edit"):
        assert ana.open(path).status_code == 200, path
    assert "Cannot be scheduled" in ana.open("/alerts").text
    page = ana.send(f"/alerts/{alert}/edit", **FORM, client_id=str(world.client_id))
    assert "was changed" in page.text
    assert "Cannot be scheduled" not in page.text


def test_an_account_that_is_switched_off_is_signed_out(world: World) -> None:
    ana = visitor(world, "ana@example.com")
    assert ana.open("/alerts").url.path == "/alerts"
    world.execute("UPDATE app.users SET is_active = false WHERE email = 'ana@example.com'")
    assert ana.open("/alerts").url.path == "/sign-in"


def _alert(rule: dict[str, Any]) -> Alert:
    """An alert in memory."""
    return Alert(
        client_id=uuid4(), name="x", metric="m", operator=">", threshold=1.5, is_active=True,
        lookback=timedelta(days=1), recipients=[], frequency=rule,
    )  # fmt: skip
