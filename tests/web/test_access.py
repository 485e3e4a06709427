"""Who may do what (security rule 3)."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from duly import Scheduler
from duly.errors import ConfigurationError
from duly.model.key import ROLES
from duly.web import Principal, web_app
from duly.web.app import ROUTES
from duly.web.routes import GuardedRoute
from tests.web.requests import send
from tests.web.site import Site

GUARDED = [route for route in ROUTES if route.role is not None]


def matrix(routes: list[GuardedRoute], *, enough: bool) -> pytest.MarkDecorator:
    """Every route with each role that suffices for it, or with each that does not."""
    chosen = [
        pytest.param(route, role, id=f"{role}-{route.method} {route.path}")
        for route in routes
        for role in ROLES
        if (ROLES.index(role) >= ROLES.index(route.role or "viewer")) == enough
    ]
    return pytest.mark.parametrize(("endpoint", "role"), chosen)


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda held: f"{held.method} {held.path}")
def test_every_endpoint_requires_signing_in(shared_site: Site, endpoint: GuardedRoute) -> None:
    """Without signing in, every endpoint responds with 401 and changes nothing."""
    assert_unchanged(shared_site, None, endpoint, {401})


@matrix(GUARDED, enough=False)
def test_an_insufficient_role_is_refused(
    shared_site: Site, endpoint: GuardedRoute, role: str
) -> None:
    """It gets 403 and changes nothing."""
    assert_unchanged(shared_site, role, endpoint, {403})


@matrix([route for route in GUARDED if route.method == "GET"], enough=True)
def test_a_sufficient_role_reads(shared_site: Site, endpoint: GuardedRoute, role: str) -> None:
    """Whatever is read, nothing changes."""
    assert_unchanged(shared_site, role, endpoint, {200, 303, 404, 503})


@matrix([route for route in GUARDED if route.method != "GET"], enough=True)
def test_a_sufficient_role_is_admitted(site: Site, endpoint: GuardedRoute, role: str) -> None:
    """The request succeeds, unless what it is about is not in the right state for it."""
    site.forward(10)
    status = send(site.client(role), site, endpoint).status_code
    assert status in {200, 201, 202, 204, 303, 404, 409, 503}


def assert_unchanged(
    site: Site, role: str | None, endpoint: GuardedRoute, expected: set[int]
) -> None:
    """Send a valid request, which gets an expected response and leaves no event."""
    before = site.scheduler.events()
    assert send(site.client(role), site, endpoint).status_code in expected
    assert site.scheduler.events() == before


def test_viewers_can_change_nothing() -> None:
    """Every unsafe endpoint requires more than viewer, but for those that store nothing."""
    assert {held.role for held in ROUTES} <= {*ROLES, None}
    unsafe = {held.endpoint.__name__: held.role for held in ROUTES if held.method != "GET"}
    assert unsafe.pop("preview_trigger") == unsafe.pop("set_theme") == "viewer"
    assert {*unsafe.values()} <= {"operator", "admin"}


@pytest.mark.parametrize("access", [None, "open", Principal("ana", "admin")])
def test_the_web_application_requires_access(sqlite_url: str, access: Any) -> None:
    """It cannot be created so that everyone has access."""
    with pytest.raises(ConfigurationError, match="access="):
        web_app(Scheduler(sqlite_url), access=access)
    with pytest.raises(TypeError, match="access"):
        web_app(Scheduler(sqlite_url))  # type: ignore[call-arg]


@pytest.mark.parametrize(("name", "role"), [("ana", "root"), ("", "viewer"), ("a\nb", "viewer")])
def test_a_principal_has_a_name_and_a_known_role(name: str, role: Any) -> None:
    """A name that the audit trail cannot show and an unknown role are refused."""
    with pytest.raises(ConfigurationError):
        Principal(name, role)


class Caller:
    async def __call__(self, request: Request) -> Principal:
        return Principal("object")


async def coroutine(request: Request) -> Principal:
    return Principal("coroutine")


@pytest.mark.parametrize(
    ("access", "name"),
    [
        (coroutine, "coroutine"),
        (Caller(), "object"),
        (lambda request: Principal("function"), "function"),
        (lambda request: coroutine(request), "coroutine"),  # noqa: PLW0108 - a plain function
    ],
)
def test_access_may_be_sync_or_async(site: Site, access: Any, name: str) -> None:
    """Functions, coroutine functions and callable objects are accepted."""
    client = TestClient(web_app(site.scheduler, access=access), base_url="http://localhost")
    answer = client.get("/")
    assert answer.status_code == 200
    assert f"<strong>{name}</strong>" in answer.text


@pytest.mark.parametrize("answer", [True, "ana", {"name": "ana", "role": "admin"}])
def test_access_must_return_a_principal(site: Site, answer: Any) -> None:
    """A true value that is not a principal does not grant access."""
    app = web_app(site.scheduler, access=lambda request: answer)
    with pytest.raises(TypeError, match="Principal"):
        TestClient(app).get("/api/v1/jobs")


def test_a_failing_access_function_refuses_requests(site: Site) -> None:
    """Its error is reported as a server error, without details."""

    def broken(request: Request) -> Principal:
        raise RuntimeError("the users' database at 10.0.0.7 is away")

    app = web_app(site.scheduler, access=broken)
    answer = TestClient(app, raise_server_exceptions=False).get("/api/v1/jobs")
    assert answer.status_code == 500
    assert "10.0.0.7" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_viewers_see_no_actions(site: Site) -> None:
    """A viewer's pages have no form except the search."""
    for path in ("/", "/jobs", "/jobs/stock"):
        assert 'method="post"' not in site.client("viewer").page(path)
        assert 'method="post"' in site.client("operator").page(path)
