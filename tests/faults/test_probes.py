"""Orchestrators probe an application without credentials."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from duly.web import Principal, web_app
from duly.web.app import ENDPOINTS
from tests.support.waiting import wait_until
from tests.web.site import API, Site


@pytest.fixture
def site(prepared_sqlite_url: str) -> Site:
    return Site(prepared_sqlite_url)


def test_S06_anybody_may_ask_whether_it_is_alive_and_ready(site: Site) -> None:
    """Without credentials there is a status and nothing else."""
    anybody = site.client(None)
    assert anybody.get(f"{API}/health").json() == {"ok": True}
    ready = anybody.get(f"{API}/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ok": False})
    with site.scheduler.running():
        wait_until(lambda: anybody.get(f"{API}/health/ready").status_code == 200, what="readiness")
        assert anybody.get(f"{API}/health/ready").json() == {"ok": True}


def test_S06_probes_do_not_depend_on_who_may_sign_in(site: Site) -> None:
    """The users' database may be away: probes do not call ``access``."""

    def away(_request: Request) -> Principal:
        raise ConnectionError

    client = TestClient(web_app(site.scheduler, access=away))
    assert client.get("/api/v1/health").status_code == 200
    assert client.get("/api/v1/health/ready").status_code == 503


def test_S06_details_need_a_viewer(site: Site) -> None:
    """Why it is not ready is told to those who may read."""
    assert site.client(None).get(f"{API}/health/details").status_code == 401
    details = site.client("viewer").api("/health/details")
    assert (details["ok"], details["engine"]) == (False, "stopped")


def test_S06_nothing_else_is_open() -> None:
    """Whatever is added later needs a role."""
    assert {f"{each.method} {each.path}" for each in ENDPOINTS if each.role is None} == {
        "GET /api/v1/health",
        "GET /api/v1/health/ready",
    }
