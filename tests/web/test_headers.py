"""The headers of every answer (security rule 5)."""

from __future__ import annotations

import pytest

from tests.web.site import API, MOUNT, Client, Site

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PLACES = [
    f"{MOUNT}/", f"{MOUNT}/jobs", f"{MOUNT}/nowhere", f"{API}/status", f"{API}/nowhere",
    f"{MOUNT}/static/styles/frame.css", f"{MOUNT}/static/nothing.css", f"{API}/runs?limit=0",
]  # fmt: skip


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("role", ["viewer", None])
def test_every_answer_carries_the_policy(site: Site, path: str, role: str | None) -> None:
    """Pages, JSON, files and errors have the same strict policy, signed in or not."""
    headers = site.client(role).get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_an_unexpected_error_carries_it_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response to an unexpected error has the headers, too."""

    async def broken() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(site.scheduler.aio, "status", broken)
    for path in (f"{MOUNT}/", f"{API}/status"):
        answer = site.client().get(path)
        assert answer.status_code == 500
        assert answer.headers["content-security-policy"] == POLICY
        assert "secret detail" not in answer.text


def test_private_responses_are_not_cached(client: Client) -> None:
    """Pages and JSON are not cached; static files are, by their version."""
    page = client.page("/")
    assert client.get(f"{MOUNT}/").headers["cache-control"] == "no-store"
    assert client.get(f"{API}/jobs").headers["cache-control"] == "no-store"
    style = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "immutable" in client.get(style).headers["cache-control"]
    assert client.get(f"{MOUNT}/static/styles/frame.css").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/stock", "/runs", "/nowhere"])
def test_pages_hold_no_inline_script_or_style(client: Client, path: str) -> None:
    """Pages contain nothing that the policy blocks, and load nothing from other sites."""
    text = client.get(MOUNT + path).text
    for forbidden in ("<style", " style=", " onclick=", "javascript:", "http://", "//cdn"):
        assert forbidden not in text
    assert text.count("<script") == text.count('<script type="module" src="/duly/static/')
