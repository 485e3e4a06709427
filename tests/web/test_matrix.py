"""Every endpoint against every kind of request that is not ours; new ones join by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from duly.web.app import ROUTES
from duly.web.routes import GuardedRoute
from tests.web.requests import path_of
from tests.web.site import MOUNT, TOKEN, Client, Site

UNSAFE = [endpoint for endpoint in ROUTES if endpoint.method != "GET"]
EVERY = pytest.mark.parametrize("endpoint", UNSAFE, ids=lambda each: f"{each.method} {each.path}")
OURS = {"Sec-Fetch-Site": "same-origin", "X-CSRF-Token": TOKEN}
FOREIGN: dict[str, dict[str, str]] = {
    "no token": {"X-CSRF-Token": ""},
    "another token": {"X-CSRF-Token": TOKEN[::-1]},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "a sibling site": {"Sec-Fetch-Site": "same-site"},
    "an opaque origin": {"Sec-Fetch-Site": "", "Origin": "null"},
    "another origin": {"Sec-Fetch-Site": "", "Origin": "http://evil.example"},
    "a basic password": {"X-CSRF-Token": "", "Authorization": "Basic YW5hOng="},
}
CONTENT_TYPES = [
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "",
    "text/html",
]
TRICKS = ["//", "/./", "/../", "%2e%2e/", ";x=1/", "%00"]


def send(client: Client, method: str, path: str, content: bytes, headers: dict[str, str]) -> Any:
    for name in ("sec-fetch-site", "origin"):
        client.headers.pop(name, None)
    given = {name: value for name, value in {**OURS, **headers}.items() if value}
    return client.request(method, path, content=content, headers=given)


@EVERY
def test_foreign_requests_change_nothing(shared_site: Site, endpoint: GuardedRoute) -> None:
    """Whatever another site makes a browser send is refused with 403, by every endpoint."""
    site = shared_site
    before, path = site.scheduler.events(), path_of(site, endpoint)
    for name, headers in FOREIGN.items():
        assert send(site.client("admin"), endpoint.method, path, b"", headers).status_code == 403, (
            name
        )
    assert site.scheduler.events() == before


@EVERY
def test_odd_content_types_are_refused(shared_site: Site, endpoint: GuardedRoute) -> None:
    """A body is only read as what the endpoint accepts; nothing changes."""
    site = shared_site
    before, path = site.scheduler.events(), path_of(site, endpoint)
    for kind in CONTENT_TYPES:
        answer = send(
            site.client("admin"), endpoint.method, path, b'{"reason": "x"}', {"Content-Type": kind}
        )
        assert answer.status_code in {403, 415}, kind
    assert site.scheduler.events() == before


@EVERY
def test_path_tricks_reach_no_endpoint(shared_site: Site, endpoint: GuardedRoute) -> None:
    """A path that is written in another way is not found, or refused; nobody gets in by it."""
    site = shared_site
    before, path = site.scheduler.events(), path_of(site, endpoint)
    for trick in TRICKS:
        odd = MOUNT + trick + path.removeprefix(MOUNT + "/")
        assert send(site.client(None), endpoint.method, odd, b"", {}).status_code in {
            400,
            401,
            404,
            405,
        }, odd
    assert site.scheduler.events() == before


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda each: f"{each.method} {each.path}")
def test_every_response_is_closed(site: Site, endpoint: GuardedRoute) -> None:
    """Each has the security headers, whoever asks, and shows no markup of the sender."""
    site.forward(10)
    markup = "<script>alert(1)</script>"
    for role in (None, "admin"):
        client = site.client(role)
        for path in (path_of(site, endpoint), f"{MOUNT}/jobs/{markup}"):
            answer = client.request(endpoint.method, path, params={"text": markup})
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            html = "text/html" in answer.headers.get("content-type", "")
            assert not html or markup not in answer.text
