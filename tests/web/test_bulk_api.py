"""The REST API changes all runs and jobs that match a filter, and groups dead letters."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.site import API, Client, Site


@pytest.fixture
def failed(site: Site) -> list[str]:
    """Two dead letters of ``fetch_prices``."""
    for _ in range(2):
        site.forward(60)
    return [run.id for run in site.scheduler.runs(state="failed", order="oldest")]


def test_dead_letters_are_grouped(client: Client, failed: list[str]) -> None:
    """With counts over time, and an example."""
    answer = client.api("/dead-letters")
    (group,) = answer["items"]
    assert (group["task"], group["error_type"], answer["more"]) == (
        "fetch_prices", "ConnectionError", False,
    )  # fmt: skip
    assert [group[name] for name in ("last_hour", "last_day", "last_week", "total")] == [2] * 4
    assert group["example"]["id"] == failed[-1]
    assert client.api("/dead-letters", error_type="KeyError")["items"] == []


def test_a_group_is_counted_and_then_retried(site: Site, client: Client, failed: list[str]) -> None:
    """``dry_run`` changes nothing; the overlap policy keeps one of the two back."""
    group = {"task": "fetch_prices", "error_type": "ConnectionError"}
    before = site.scheduler.events()
    counted = client.do("/runs/retry?dry_run=true", group)
    assert counted.json() == {"matched": 2, "changed": 0, "refused": {}, "dry_run": True}
    assert site.scheduler.events() == before
    done = client.do("/runs/retry", group).json()
    assert (done["matched"], done["changed"]) == (2, 1)
    assert done["refused"] == {"not allowed by its job's overlap policy": 1}
    assert site.scheduler.events(kind="runs.retried")[0].actor == "ana"


def test_runs_are_discarded_with_a_reason_and_cancelled(
    site: Site, client: Client, failed: list[str]
) -> None:
    """The reason is required for the one, and not known to the other."""
    assert client.do("/runs/discard", {"job": "prices"}).status_code == 422
    assert client.do("/runs/cancel", {"job": "prices", "reason": "x"}).status_code == 422
    done = client.do("/runs/discard", {"job": "prices", "reason": "gone"}).json()
    assert done["changed"] == 2
    later = site.scheduler.enqueue("greet", delay=60)
    assert client.do("/runs/cancel", {"state": ["scheduled"]}).json()["changed"] == 1
    assert site.scheduler.run(later).state == "cancelled"


def test_jobs_are_paused_resumed_and_removed(site: Site, client: Client) -> None:
    """By the filters of their list."""
    counted = client.do("/jobs/pause?dry_run=true", {"queue": "mail"})
    assert counted.json() == {"jobs": 1, "dry_run": True}
    done = client.do("/jobs/pause", {"everything": True, "reason": "night"})
    assert done.json() == {"jobs": len(site.scheduler.jobs(state="paused")), "dry_run": False}
    assert client.do("/jobs/resume", {"tag": "mail"}).json()["jobs"] == 1
    assert client.do("/jobs/remove", {"tag": "mail"}).json()["jobs"] == 1
    assert "letter" not in [job.id for job in site.scheduler.jobs()]


@pytest.mark.parametrize("path", ["/runs/cancel", "/runs/retry", "/jobs/pause", "/jobs/remove"])
@pytest.mark.parametrize(
    "body",
    [{}, {"everything": True, "tag": "x"}, {"nonsense": 1}, {"state": "sleeping"}, {"tag": 7}],
)
def test_a_filter_that_is_empty_or_not_valid_changes_nothing(
    site: Site, client: Client, failed: list[str], path: str, body: dict[str, Any]
) -> None:
    """422, and the problem says what to give."""
    before = site.scheduler.events()
    answer = client.do(path, body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert site.scheduler.events() == before


def test_bulk_changes_need_their_roles(site: Site) -> None:
    """A viewer changes nothing, and an operator removes no jobs."""
    for path in ("/runs/cancel", "/runs/retry", "/jobs/pause", "/jobs/resume", "/jobs/remove"):
        assert site.client("viewer").do(path, {"everything": True}).status_code == 403
    assert site.client("operator").do("/jobs/remove", {"everything": True}).status_code == 403
    assert len(site.scheduler.jobs()) == 3


def test_runs_are_listed_by_what_operators_look_for(
    site: Site, client: Client, failed: list[str]
) -> None:
    """The type of error, the worker, the end; oldest first, page by page."""
    found = client.api("/runs", error_type="ConnectionError", order="oldest", limit=1)
    assert [run["id"] for run in found["items"]] == failed[:1]
    rest = client.api("/runs", error_type="ConnectionError", order="oldest", after=found["next"])
    assert [run["id"] for run in rest["items"]] == failed[1:]
    ended = site.scheduler.run(failed[1]).finished_at
    assert ended is not None
    late = client.api("/runs", finished_since=ended.isoformat(), state="failed")
    assert [run["id"] for run in late["items"]] == failed[1:]
    assert client.get(f"{API}/runs", params={"worker": "w"}).status_code == 422
