"""``POST /tick`` executes what is due before it responds."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from duly.web import local_key, web_app
from tests.web.site import API, TOKEN, Client, Site

PATH = f"{API}/tick"


def test_due_runs_finish_before_the_response(site: Site, client: Client) -> None:
    """The response has the outcomes of the runs, which have finished."""
    site.clock.advance(10)
    answer = client.do("/tick")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["complete"] is True
    assert told["runs"]["succeeded"] == 1
    assert site.scheduler.run(site.run_of("stock")).state == "succeeded"


def test_with_nothing_due_all_counts_are_zero(client: Client) -> None:
    """The response has every count, and each is 0."""
    runs = client.do("/tick").json()["runs"]
    assert set(runs) >= {"succeeded", "failed", "retried", "missed", "skipped"}
    assert not any(runs.values())


@pytest.mark.parametrize(
    ("role", "status"), [(None, 401), ("viewer", 403), ("operator", 200), ("admin", 200)]
)
def test_who_may_tick(site: Site, role: str | None, status: int) -> None:
    """Operators may tick; a refused request changes nothing."""
    site.clock.advance(10)
    before = site.scheduler.events()
    assert site.client(role).do("/tick").status_code == status
    assert (site.scheduler.events() == before) is (status != 200)


def test_another_site_cannot_make_a_browser_tick(site: Site, client: Client) -> None:
    """Without this browser's token, or from another origin, nothing is done."""
    site.clock.advance(10)
    before = site.scheduler.events()
    assert client.post(PATH).status_code == 403
    headers = {"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "cross-site"}
    assert client.post(PATH, headers=headers).status_code == 403
    assert site.scheduler.events() == before


def test_a_platforms_timer_needs_a_bearer_token_only(site: Site) -> None:
    """An empty body, no cookie, no token of a form."""
    app = web_app(site.scheduler, access=local_key(key="k" * 32))
    site.clock.advance(10)
    timer = TestClient(app, headers={"Authorization": f"Bearer {'k' * 32}"})
    answer = timer.post("/api/v1/tick?wait=60")
    assert answer.status_code == 200
    assert answer.json()["runs"]["succeeded"] == 1


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "soon", "1e9"])
def test_an_invalid_wait_is_refused(client: Client, wait: str) -> None:
    """422, as for every other parameter."""
    answer: Any = client.post(PATH, params={"wait": wait}, json={}, headers={"X-CSRF-Token": TOKEN})
    assert answer.status_code == 422


def test_reading_does_not_tick(client: Client) -> None:
    """A link that is followed does nothing."""
    assert client.get(PATH).status_code == 405
