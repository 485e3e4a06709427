"""The REST API sets queues, limits and calendars, and previews triggers."""

from __future__ import annotations

from typing import Any

import pytest

from duly.errors import ConfigurationError
from tests.web.site import API, TOKEN, Client, Site

HEADERS = {"X-CSRF-Token": TOKEN}


def put(client: Client, path: str, body: Any) -> Any:
    return client.put(API + path, json=body, headers=HEADERS)


def test_the_limits_of_a_queue(client: Client) -> None:
    """A limit that is not given is removed; a paused queue stays paused."""
    client.do("/queues/mail/pause")
    queue = put(client, "/queues/mail", {"max_running": 2, "rate": 5, "per": 1}).json()
    assert (queue["max_running"], queue["rate"], queue["per"]) == (2, 5, 1)
    assert queue["paused"] is True
    queue = put(client, "/queues/mail", {}).json()
    assert (queue["max_running"], queue["rate"], queue["paused"]) == (None, None, True)
    assert put(client, "/queues/mail", {"max_running": 0}).status_code == 422


@pytest.mark.parametrize("per", [1e-9, 5e-324, 0])
def test_a_rate_needs_a_period_that_a_clock_can_measure(
    site: Site, client: Client, per: float
) -> None:
    """A shorter one was stored, and every worker then failed when it claimed a run."""
    assert put(client, "/queues/mail", {"rate": 5, "per": per}).status_code == 422
    with pytest.raises(ConfigurationError, match="per"):
        site.scheduler.set_queue("mail", rate=5, per=per)
    assert [queue["rate"] for queue in client.api("/queues")["items"]] == [None]


def test_lists_come_in_pages(client: Client) -> None:
    """Also those that are read as a whole: each has a cursor."""
    for key in ("a", "b", "c"):
        put(client, f"/limits/{key}", {"max_running": 2})
    first = client.api("/limits", limit=2)
    assert ([item["key"] for item in first["items"]], first["next"]) == (["a", "b"], "b")
    rest = client.api("/limits", limit=2, after="b")
    assert ([item["key"] for item in rest["items"]], rest["next"]) == (["c"], None)
    tasks = client.api("/tasks", limit=3)
    assert len(tasks["items"]) == 3
    assert len(client.api("/tasks", after=tasks["next"])["items"]) == 1


def test_the_limit_of_a_key(client: Client) -> None:
    """It is set, shown and removed; a key without one has nothing to remove."""
    limit = put(client, "/limits/shop%2F7", {"max_running": 3}).json()
    assert limit == {"key": "shop/7", "max_running": 3, "running": 0}
    assert client.delete(f"{API}/limits/shop%2F7", headers=HEADERS).status_code == 204
    assert client.delete(f"{API}/limits/shop%2F7", headers=HEADERS).status_code == 404


def test_a_calendar_that_jobs_exclude(client: Client) -> None:
    """It is stored and shown, moves the fires of its jobs, and cannot be removed under them."""
    dates = {"kind": "dates", "days": ["2026-01-01"]}
    stored = put(client, "/calendars/closed", dates).json()
    assert (stored["name"], stored["definition"]) == ("closed", dates)
    trigger = {
        "kind": "excluding",
        "trigger": {"kind": "cron", "expression": "0 9 * * *", "tz": "UTC"},
        "calendar": {"kind": "named", "name": "closed"},
    }
    job = client.do("/jobs", {"id": "daily", "task": "greet", "trigger": trigger}).json()
    assert job["next_fire_at"] == "2026-01-02T09:00:00Z"
    put(client, "/calendars/closed", {"kind": "dates", "days": ["2026-01-02"]})
    assert client.api("/jobs/daily")["next_fire_at"] == "2026-01-01T09:00:00Z"
    assert [item["name"] for item in client.api("/calendars")["items"]] == ["closed"]
    assert client.api("/calendars/closed")["definition"]["days"] == ["2026-01-02"]
    assert client.delete(f"{API}/calendars/closed", headers=HEADERS).status_code == 409
    client.delete(f"{API}/jobs/daily", headers=HEADERS)
    assert client.delete(f"{API}/calendars/closed", headers=HEADERS).status_code == 204
    assert client.get(f"{API}/calendars/closed").status_code == 404


@pytest.mark.parametrize("body", [{"kind": "days"}, {"kind": "dates", "days": ["soon"]}, {}, []])
def test_a_calendar_that_is_not_valid_is_refused(site: Site, client: Client, body: Any) -> None:
    """422, and nothing is stored."""
    assert put(client, "/calendars/closed", body).status_code == 422
    assert site.scheduler.calendars() == {}


def test_a_preview_shows_what_a_trigger_does(site: Site, client: Client) -> None:
    """English, the next times in UTC and on the clock of its zone, and warnings; for viewers."""
    body = {"trigger": "30 2 * * *", "after": "2026-03-28T12:00:00Z", "count": 2}
    before = site.scheduler.events()
    answer = site.client("viewer").do("/preview", body)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["text"] == "at 02:30, Europe/Madrid time"
    assert (shown["crontab"], shown["tz"]) == ("30 2 * * *", "Europe/Madrid")
    assert shown["definition"]["kind"] == "cron"
    first = shown["fires"][0]
    assert (first["instant"], first["marks"]) == ("2026-03-29T01:30:00+00:00", ["gap"])
    assert first["local"] == "2026-03-29T03:30:00+02:00"
    assert "does not exist" in " ".join(shown["warnings"])
    assert len(shown["fires"]) == 2
    assert site.scheduler.events() == before


def test_a_preview_knows_stored_calendars(client: Client) -> None:
    """Excluded times are marked; a calendar that is not stored is named."""
    trigger = {
        "kind": "excluding",
        "trigger": {"kind": "cron", "expression": "0 9 * * *"},
        "calendar": {"kind": "named", "name": "closed"},
    }
    answer = client.do("/preview", {"trigger": trigger})
    assert (answer.status_code, "closed" in answer.json()["detail"]) == (422, True)
    put(client, "/calendars/closed", {"kind": "dates", "days": ["2026-01-02"]})
    marks = [fire["marks"] for fire in client.do("/preview", {"trigger": trigger}).json()["fires"]]
    assert marks[:3] == [[], ["excluded"], []]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"trigger": "tomorrow"}, {"trigger": "every hour", "count": 101},
        {"trigger": "every hour", "after": "2026-01-01T00:00:00"},
        {"trigger": "0 9 * * 1--100000000"}, {"trigger": "* " * 5000},
    ],
)  # fmt: skip
def test_what_cannot_be_previewed_is_refused(client: Client, body: Any) -> None:
    """422 with what is wrong, at once."""
    assert client.do("/preview", body).status_code == 422


def test_draining_a_worker(site: Site, client: Client) -> None:
    """The worker as it is now, as often as one asks; an unknown one is 404."""
    site.scheduler.tick()
    (worker,) = client.api("/workers")["items"]
    for _time in range(2):
        answer = client.do(f"/workers/{worker['id']}/drain")
        assert (answer.status_code, answer.json()) == (200, {**worker, "draining": True})
    (event,) = site.scheduler.events(kind="worker.draining")
    assert (event.worker_id, event.actor) == (worker["id"], "ana")
    assert client.do("/workers/nobody/drain").status_code == 404
