"""``GET /metrics``: Prometheus scrapes the web application."""

from __future__ import annotations

import sys

import pytest

from tests.web.site import API, Site


def test_a_viewer_scrapes_both_parts_or_one(site: Site) -> None:
    """In the text format of Prometheus, with the numbers of the database as they are now."""
    client = site.client("viewer")
    first = client.get(f"{API}/metrics")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    site.forward(10)
    ended = 'duly_runs_total{outcome="succeeded",queue="default",task="count_stock"} 1.0'
    whole = client.get(f"{API}/metrics").text
    assert ended in whole
    assert 'duly_attempts_started_total{queue="default",task="count_stock"} 1.0' in whole
    process = client.get(f"{API}/metrics", params={"part": "process"}).text
    database = client.get(f"{API}/metrics", params={"part": "database"}).text
    assert ended in database
    assert ended not in process
    assert "duly_attempts_started_total" not in database


def test_an_unknown_part_is_refused(site: Site) -> None:
    """With the parts that there are."""
    answer = site.client("viewer").get(f"{API}/metrics", params={"part": "everything"})
    assert answer.status_code == 422
    assert "database" in answer.json()["detail"]


def test_nobody_scrapes_without_signing_in(site: Site) -> None:
    assert site.client(None).get(f"{API}/metrics").status_code == 401


def test_a_server_without_the_extra_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """501, with what to install."""
    for name in [name for name in sys.modules if name.startswith("duly.observe")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = site.client("viewer").get(f"{API}/metrics")
    assert answer.status_code == 501
    assert "pip install 'duly[metrics]'" in answer.json()["detail"]


def test_the_document_says_that_it_is_text(site: Site) -> None:
    """So that a generated client does not try to parse it."""
    document = site.client("viewer").get("/duly/api/openapi.json").json()
    (answer,) = [
        route["get"]["responses"]["200"]
        for path, route in document["paths"].items()
        if path.endswith("/metrics")
    ]
    assert list(answer["content"]) == ["text/plain"]
