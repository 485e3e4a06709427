"""Unsafe requests by cookie come from our own pages (security rule 4)."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from duly.web import local_key, web_app
from tests.web.site import API, MOUNT, TOKEN, Client, Site

PAUSE = f"{API}/jobs/stock/pause"
FORM = f"{MOUNT}/jobs/stock/pause"


def paused(site: Site) -> bool:
    return site.scheduler.job("stock").state == "paused"


@pytest.mark.parametrize("token", [None, "", "another", TOKEN[:-1]])
def test_a_wrong_token_is_refused(site: Site, client: Client, token: str | None) -> None:
    """In a header or a form field, the token must match the browser's cookie."""
    headers = {} if token is None else {"X-CSRF-Token": token}
    fields = {} if token is None else {"csrf_token": token}
    assert client.post(PAUSE, json={}, headers=headers).status_code == 403
    assert client.post(FORM, data=fields).status_code == 403
    assert not paused(site)


def test_without_the_cookie_every_token_is_refused(site: Site) -> None:
    """A browser that has not opened a page has no valid token."""
    client = site.client("admin")
    client.cookies.delete("duly_csrf")
    for token in ("", TOKEN):
        assert client.post(FORM, data={"csrf_token": token}).status_code == 403
    assert not paused(site)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://localhost"}, 200),  # a proxy in front spoke TLS
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_a_token_alone_is_not_enough(site: Site, headers: dict[str, str], status: int) -> None:
    """The browser must state that the request comes from the same site."""
    client = site.client("admin")
    del client.headers["sec-fetch-site"]
    answer = client.post(PAUSE, json={}, headers={"X-CSRF-Token": TOKEN, **headers})
    assert answer.status_code == status
    assert paused(site) == (status == 200)


def test_bearer_requests_are_exempt(site: Site) -> None:
    """Browsers never send a bearer token on their own, so such requests need no CSRF token."""
    app = web_app(site.scheduler, access=local_key(key="k" * 32))
    client = TestClient(app, headers={"Authorization": f"Bearer {'k' * 32}"})
    assert client.post("/api/v1/jobs/stock/pause", json={"reason": "x"}).status_code == 200
    assert paused(site)


def test_a_basic_password_is_not_exempt(site: Site) -> None:
    """Browsers send basic credentials on their own."""
    client = site.client("admin")
    del client.headers["sec-fetch-site"]
    answer = client.post(PAUSE, json={}, headers={"Authorization": "Basic YW5hOng="})
    assert answer.status_code == 403


def test_a_page_brings_the_token_and_its_cookie(site: Site) -> None:
    """A browser that opens a page can submit its forms."""
    client = site.client("operator")
    client.cookies.delete("duly_csrf")
    page = client.get(f"{MOUNT}/jobs")
    token = client.cookies["duly_csrf"]
    assert f'name="csrf_token" value="{token}"' in page.text
    assert client.post(FORM, data={"csrf_token": token}).status_code == 303
    assert paused(site)


@pytest.mark.parametrize(
    ("host", "secure"),
    [("localhost", False), ("127.0.0.1", False), ("[::1]", False), ("duly.example", True)],
)
def test_cookies_are_closed(site: Site, host: str, secure: bool) -> None:
    """HttpOnly and SameSite=Lax always, Secure off loopback, only for this mount."""
    client: Any = TestClient(site.app, base_url=f"http://{host}", cookies={"who": "viewer"})
    cookie = client.get(f"{MOUNT}/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert f"Path={MOUNT}" in cookie
    assert ("Secure" in cookie) is secure


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_unsupported_methods_change_nothing(client: Client, method: str) -> None:
    """A method without an endpoint gets 405."""
    assert client.request(method, PAUSE).status_code == 405
