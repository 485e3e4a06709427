"""The REST API reports the scheduler's state and controls it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.web.site import API, Client, Site


def test_a_job_with_its_next_fire_and_last_outcome(site: Site, client: Client) -> None:
    """One response has the definition, the trigger in English, the next fire and the newest run."""
    site.forward(10)
    job = client.api("/jobs/stock")
    assert job["trigger"]["text"] == "every 10 seconds"
    assert job["trigger"]["definition"]["kind"] == "every"
    assert job["next_fire_at"] == "2026-01-01T00:00:20Z"
    assert job["last_run"]["state"] == "succeeded"
    assert job["last_run"]["result"] == {"counted": 7}
    assert job["last_run"]["duration"] == 0
    assert job["tags"] == ["shop"]
    assert job["options"]["overlap"] == "skip"


def test_a_cron_trigger_has_its_expression_and_zone(client: Client) -> None:
    """The crontab expression and its time zone."""
    trigger = client.api("/jobs/letter")["trigger"]
    assert trigger["crontab"] == "0 9 * * 1-5"
    assert trigger["tz"] == "Europe/Madrid"
    assert trigger["text"] == "at 09:00 on Monday to Friday, Europe/Madrid time"


def test_the_revision_is_the_etag(site: Site, client: Client) -> None:
    """The ETag changes with the job."""
    before = client.get(f"{API}/jobs/letter").headers["etag"]
    site.scheduler.edit("letter", tags=["mail", "daily"])
    after = client.get(f"{API}/jobs/letter")
    assert (before, after.headers["etag"]) == ('"1"', '"2"')
    assert after.json()["overridden"] == ["tags"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["letter", "prices", "stock"]),
        ({"tag": "mail"}, ["letter"]),
        ({"text": "pri"}, ["prices"]),
        ({"text": "%"}, []),
        ({"queue": "mail"}, ["letter"]),
        ({"state": "paused"}, ["prices"]),
        ({"task": "count_stock"}, ["stock"]),
        ({"failing": "true"}, ["prices"]),
        ({"tag": "mail", "queue": "default"}, []),
        ({"text": ""}, ["letter", "prices", "stock"]),
    ],
)
def test_jobs_are_filtered(
    site: Site, client: Client, query: dict[str, str], found: list[str]
) -> None:
    """All filters must match; empty ones are ignored."""
    site.forward(60)
    site.scheduler.pause("prices")
    assert [job["id"] for job in client.api("/jobs", **query)["items"]] == found


def collect(client: Client, path: str, **query: Any) -> tuple[list[str], int]:
    """All ids over all pages, and how many pages there were."""
    ids: list[str] = []
    pages, after = 0, None
    while pages == 0 or after:
        held = client.api(path, **query, **({"after": after} if after else {}))
        ids += [item["id"] for item in held["items"]]
        pages, after = pages + 1, held["next"]
    return ids, pages


def test_runs_come_in_pages(site: Site, client: Client) -> None:
    """Pages are stable while runs are added; the last page has no next one."""
    for _ in range(7):
        site.forward(10)
    held = [run.id for run in site.scheduler.runs()]
    assert len(held) == 8
    assert collect(client, "/runs", limit=3) == (held, 3)
    assert collect(client, "/runs", limit=8) == (held, 1)
    first = client.api("/runs", limit=3)
    site.forward(10)
    assert client.api("/runs", limit=3, after=first["next"])["items"][0]["id"] == held[3]


def test_jobs_and_events_come_in_pages(site: Site, client: Client) -> None:
    """Jobs are sorted by id, events by age."""
    assert collect(client, "/jobs", limit=2) == (["letter", "prices", "stock"], 2)
    events, pages = collect(client, "/events", limit=2)
    assert events == sorted(events)
    assert len(events) == 4
    assert pages == 2
    newest = client.api("/events", newest=True, limit=3)["items"]
    assert [event["id"] for event in newest] == events[:0:-1]
    before = client.api("/events", newest=True, before=newest[-1]["id"])["items"]
    assert [event["id"] for event in before] == events[:1]


def test_runs_are_filtered(prepared_sqlite_url: str) -> None:
    """Runs are filtered by states, job, tag, time and text."""
    site = Site(prepared_sqlite_url, start=datetime(2031, 3, 1, tzinfo=UTC))
    client = site.client()
    for _ in range(6):
        site.forward(10)

    def found(**query: Any) -> list[str]:
        return [run["job_id"] for run in client.api("/runs", **query)["items"]]

    assert found(state="failed") == ["prices"]
    assert set(found(state=["failed", "succeeded"], limit=2)) == {"prices", "stock"}
    assert set(found(tag="shop")) == {"stock"}
    assert found(text="no answer") == ["prices"]
    assert found(job="stock", since="2031-03-01T00:00:50Z") == ["stock", "stock"]
    assert found(job="stock", until="2031-03-01T01:00:11+01:00") == ["stock"]
    runs = client.api("/jobs/prices/runs")["items"]
    assert [run["error_type"] for run in runs] == ["ConnectionError"]
    site.scheduler.stop(grace=0)


def test_runs_are_filtered_by_parent(site: Site, client: Client) -> None:
    """Runs are filtered by their parent's id; a malformed id is refused."""
    site.scheduler.add("greet", after=["stock"], id="after_stock")
    site.forward(10)
    parent = site.run_of("stock")
    (child,) = client.api("/runs", parent=parent)["items"]
    assert (child["job_id"], child["parent_run_id"]) == ("after_stock", parent)
    assert client.api("/runs", parent=child["id"])["items"] == []
    assert client.get(f"{API}/runs", params={"parent": "stock"}).status_code == 422


def test_a_log_comes_in_pages(site: Site, client: Client) -> None:
    """Each line has an id to continue after."""
    site.forward(60)
    path = f"/runs/{site.run_of('stock')}/log"
    (line,) = client.api(path, limit=1)
    assert client.api(path, after=line["id"]) == []
    assert client.api(path, after=line["id"] - 1) == [line]
    assert client.get(API + path, params={"limit": 0}).status_code == 422


def test_a_run_with_log_and_attempts(site: Site, client: Client) -> None:
    """A run's log lines and its failed attempts with their tracebacks."""
    site.forward(60)
    stock, prices = site.run_of("stock"), site.run_of("prices")
    assert client.api(f"/runs/{stock}")["progress"] == {"done": 7, "total": 7, "note": "done"}
    log = client.api(f"/runs/{stock}/log")
    assert [(line["level"], line["message"]) for line in log] == [("INFO", "counted 7 products")]
    (attempt,) = client.api(f"/runs/{prices}/attempts")
    assert attempt["error_message"] == "no answer from feed"
    assert "raise ConnectionError" in attempt["traceback"]


def test_next_fires(client: Client) -> None:
    """The number of fires is as requested."""
    held = client.api("/jobs/letter/next", count=3)
    assert held["fires"] == ["2026-01-01T08:00:00Z", "2026-01-02T08:00:00Z", "2026-01-05T08:00:00Z"]


def test_missed_ranges(site: Site, client: Client) -> None:
    """The nominal times that did not run after an outage, and why."""
    site.forward(50)
    (held,) = client.api("/jobs/stock/missed")
    assert (held["count"], held["reason"]) == (4, "catch_up=latest")
    assert held["first"] == "2026-01-01T00:00:10Z"


def test_pause_and_resume(site: Site, client: Client) -> None:
    """A pause has a reason, and the audit trail names the user."""
    job = client.do("/jobs/stock/pause", {"reason": "stocktaking"}).json()
    assert (job["state"], job["paused_by"], job["paused_reason"]) == (
        "paused",
        "ana",
        "stocktaking",
    )
    assert client.do("/jobs/stock/resume").json()["state"] == "active"
    events = client.api("/events", job="stock")["items"]
    assert [(e["kind"], e["actor"]) for e in events[1:]] == [
        ("job.paused", "ana"), ("job.resumed", "ana"),
    ]  # fmt: skip


def test_run_now(site: Site, client: Client) -> None:
    """202 with the run and its location; other arguments apply to this run only."""
    answer = client.do("/jobs/prices/run", {"args": {"source": "mirror"}})
    assert answer.status_code == 202
    site.scheduler.tick()
    run = client.get(answer.headers["location"]).json()
    assert (run["cause"], run["actor"], run["state"]) == ("manual", "ana", "failed")
    assert run["error_message"] == "no answer from mirror"
    assert client.api("/jobs/prices")["args"] == {}


def test_cancel_retry_discard(site: Site, client: Client) -> None:
    """A waiting run is cancelled; a failed one is retried, fails again, and is discarded."""
    waiting = client.do("/jobs/stock/run").json()["id"]
    assert client.do(f"/runs/{waiting}/cancel").json()["state"] == "cancelled"
    site.forward(60)
    failed = site.run_of("prices")
    assert client.do(f"/runs/{failed}/retry").json()["state"] == "ready"
    site.scheduler.tick()
    assert client.do(f"/runs/{failed}/discard", {}).status_code == 422
    answer = client.do(f"/runs/{failed}/discard", {"reason": "the feed is gone"}).json()
    assert (answer["state"], answer["reason"]) == ("discarded", "the feed is gone")
    assert client.api("/status")["dead"] == 0


def test_the_switch(site: Site, client: Client) -> None:
    """Switched off, nothing fires; switched on, due times are decided."""
    status = client.do("/scheduler/stop", {"reason": "moving house"}).json()
    assert status["stopped"] is True
    assert status["switch"] == {"by": "ana", "at": "2026-01-01T00:00:00Z", "reason": "moving house"}
    site.forward(10)
    assert site.scheduler.runs() == []
    assert client.do("/scheduler/start").json()["stopped"] is False
    site.scheduler.tick()
    assert [run.job_id for run in site.scheduler.runs()] == ["stock"]


def test_queues(site: Site, client: Client) -> None:
    """A paused queue starts no runs, and says by whom and why it was paused."""
    held = {
        queue["name"]: queue
        for queue in [client.do("/queues/default/pause", {"reason": "slow"}).json()]
    }
    assert held["default"] == {
        "name": "default", "paused": True, "paused_by": "ana", "paused_reason": "slow",
        "rate": None, "per": None, "max_running": None,
    }  # fmt: skip
    site.forward(10)
    assert site.scheduler.runs(state="ready")
    client.do("/queues/default/resume")
    site.scheduler.tick()
    assert site.scheduler.runs(state="succeeded")
    assert not any(queue["paused"] for queue in client.api("/queues")["items"])


def test_status_and_workers(site: Site, client: Client) -> None:
    """The status has counts by state, and this process among the workers."""
    site.forward(60)
    status = client.api("/status")
    assert status["at"] == "2026-01-01T00:01:00Z"
    assert status["jobs"] == {"active": 3}
    assert status["last_day"] == {"succeeded": 1, "failed": 1}
    assert status["dead"] == 1
    (worker,) = client.api("/workers")["items"]
    assert worker["id"] == status["worker_id"]
    assert (worker["app_version"], status["workers"]) == (None, [worker])


def test_tasks_with_the_schema_of_their_arguments(client: Client) -> None:
    """All registered tasks are listed, without the parameters that Duly supplies."""
    tasks = {task["name"]: task for task in client.api("/tasks")["items"]}
    assert set(tasks) == {"count_stock", "fetch_prices", "greet", "send_letter"}
    assert tasks["count_stock"]["doc"] == "Count what is in stock."
    assert tasks["count_stock"]["arguments"]["properties"] == {}
    assert tasks["greet"]["arguments"]["properties"]["name"]["type"] == "string"


def test_health_says_what_is_wrong(site: Site, client: Client) -> None:
    """/health is always 200; /health/ready only while the scheduler of this process runs."""
    assert client.get(f"{API}/health").status_code == 200
    assert client.get(f"{API}/health/ready").status_code == 503
    assert client.api("/health/details")["engine"] == "stopped"
    with site.scheduler.running():
        wait_until(lambda: client.get(f"{API}/health/ready").status_code == 200, what="readiness")


def test_times_are_instants(client: Client) -> None:
    """All times in responses are in UTC with an offset."""
    at = client.api("/status")["at"]
    assert datetime.fromisoformat(at) == datetime(2026, 1, 1, tzinfo=UTC)
    assert at.endswith("Z")
