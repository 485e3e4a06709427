"""Orchestrators probe an application without credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from duly import Scheduler
from duly.integrations import flask, starlette
from duly.web import Principal, local_key, web_app
from duly.web.app import ROUTES
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


@pytest.mark.parametrize("framework", ["starlette", "flask"])
def test_S06_a_web_process_that_leaves_the_work_to_others_is_ready(
    prepared_sqlite_url: str, framework: str
) -> None:
    """``init_app(start=False)``: it can do what it is there for while the database answers.

    Once it was started and stopped again, it is as ready as any process that is stopping: not.
    """
    scheduler = Scheduler(prepared_sqlite_url)
    with probed(scheduler, framework) as status:
        assert status() == 200
        with scheduler.running():
            pass
        assert status() == 503
    scheduler.stop()  # closes the connections of the last probe


@contextmanager
def probed(scheduler: Scheduler, framework: str) -> Iterator[Callable[[], int]]:
    """Serve the dashboard of an application without a worker; yield the status of its probe."""
    options: dict[str, Any] = {"web": "/duly", "access": local_key(), "start": False}
    path = "/duly/api/v1/health/ready"
    if framework == "starlette":
        app = Starlette()
        starlette.init_app(app, scheduler, **options)
        with TestClient(app) as client:
            yield lambda: client.get(path).status_code
    else:
        site = Flask(__name__)
        flask.init_app(site, scheduler, **options)
        served = {"SERVER_SOFTWARE": "a server"}
        yield lambda: site.test_client().get(path, environ_overrides=served).status_code


def test_S06_details_need_a_viewer(site: Site) -> None:
    """Why it is not ready is told to those who may read."""
    assert site.client(None).get(f"{API}/health/details").status_code == 401
    details = site.client("viewer").api("/health/details")
    assert (details["ok"], details["engine"]) == (False, "stopped")


def test_S06_nothing_else_is_open() -> None:
    """Whatever is added later needs a role."""
    assert {f"{each.method} {each.path}" for each in ROUTES if each.role is None} == {
        "GET /api/v1/health",
        "GET /api/v1/health/ready",
    }
