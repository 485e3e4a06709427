"""Errors are answers that one can act on."""

from __future__ import annotations

import html
from typing import Any

import pytest

from duly.errors import DatabaseUnavailable, LifecycleError, SchemaTooNew
from tests.web.site import API, MOUNT, TOKEN, Client, Site
from tests.web.test_pages import text_of

NOWHERE = "0" * 36


def check(answer: Any, status: int, kind: str) -> str:
    """The detail of a problem, which must be of this kind."""
    assert answer.headers["content-type"] == "application/problem+json"
    held = answer.json()
    assert (answer.status_code, held["status"], held["type"]) == (status, status, kind)
    assert held["title"]
    return str(held.get("detail", ""))


@pytest.mark.parametrize(
    "path", ["/jobs/none", "/jobs/none/runs", "/jobs/none/next", "/jobs/none/missed"]
)
def test_an_unknown_job(client: Client, path: str) -> None:
    """404, and the id that was looked for."""
    detail = check(client.get(API + path), 404, "urn:duly:problem:job-not-found")
    assert "'none'" in detail


@pytest.mark.parametrize("path", ["", "/log", "/attempts"])
@pytest.mark.parametrize("run_id", ["none", NOWHERE, "é" * 36, "%00" * 36])
def test_an_unknown_run(client: Client, run_id: str, path: str) -> None:
    """404 for any text that is no run's id."""
    answer = client.get(f"{API}/runs/{run_id}{path}")
    assert answer.status_code == 404


def test_a_conflict(site: Site, client: Client) -> None:
    """409 when the stored state forbids it: a run that succeeded does not restart."""
    site.forward(10)
    answer = client.do(f"/runs/{site.run_of('stock')}/retry")
    assert "succeeded" in check(answer, 409, "urn:duly:problem:state-error")


def test_overlap(site: Site, client: Client) -> None:
    """409 when the overlap policy forbids another run now."""
    assert client.do("/jobs/stock/run").status_code == 202
    answer = client.do("/jobs/stock/run")
    assert "overlap" in check(answer, 409, "urn:duly:problem:overlap-error")


def test_arguments_that_do_not_fit(client: Client) -> None:
    """422, naming the parameter."""
    answer = client.do("/jobs/prices/run", {"args": {"sauce": "feed"}})
    assert "did you mean 'source'" in check(answer, 422, "urn:duly:problem:arguments-error")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (DatabaseUnavailable("postgresql://ana:geheim@db/x is away"), 503, "database-unavailable"),
        (SchemaTooNew("a newer Duly wrote the tables"), 503, "schema-too-new"),
        (LifecycleError("not now"), 409, "lifecycle-error"),
    ],
)
def test_other_errors(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str
) -> None:
    """Each of Duly's errors has its status; a secret in its text is hidden."""

    async def fails(**_filters: Any) -> None:
        raise error

    monkeypatch.setattr(site.scheduler.aio, "jobs", fails)
    answer = site.client().get(f"{API}/jobs")
    assert "geheim" not in check(answer, status, f"urn:duly:problem:{kind}")
    assert (answer.headers.get("retry-after") is not None) == (status == 503)
    assert site.client().get(f"{MOUNT}/jobs").status_code == status


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"), ("limit=501", "limit"), ("limit=many", "limit"),
        ("state=done", "state"), ("since=2026-01-01T00:00:00", "since"),
        ("colour=red", "colour"), ("text=%00", "text"), (f"text={'x' * 201}", "text"),
    ],
)  # fmt: skip
def test_an_invalid_query_is_refused(client: Client, query: str, named: str) -> None:
    """422, naming the parameter: out of range, unknown, or an instant without a zone."""
    assert named in check(client.get(f"{API}/runs?{query}"), 422, "about:blank")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"reason": ', "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"reason": 7}', "application/json", 422),
        (b'{"reason": "\\ud800"}', "application/json", 422),
        (b'{"reason": "\\u0000"}', "application/json", 422),
        (b'{"why": "x"}', "application/json", 422),
        (b"\xff\xfe{", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"reason=x", "application/x-www-form-urlencoded", 415),
        (b'{"reason": "x"}', "text/plain", 415),
        (b'{"reason": "' + b"x" * 300_000 + b'"}', "application/json", 413),
    ],
)
def test_an_invalid_body_is_refused(
    site: Site, client: Client, body: bytes, kind: str, status: int
) -> None:
    """Wrong media type, no JSON, unknown members, too large (security rule 10): refused."""
    answer = client.post(
        f"{API}/jobs/stock/pause",
        content=body,
        headers={"Content-Type": kind, "X-CSRF-Token": TOKEN},
    )
    check(answer, status, "about:blank")
    assert site.scheduler.job("stock").state == "active"


def test_people_get_a_page(client: Client) -> None:
    """Outside the API an error is a page with a way out."""
    answer = client.get(f"{MOUNT}/jobs/none")
    assert answer.status_code == 404
    assert "text/html" in answer.headers["content-type"]
    assert "No job has the id" in answer.text
    assert f'href="{MOUNT}/"' in answer.text


def test_an_action_that_fails_leads_back(client: Client) -> None:
    """What could not be done says why, and leads back to the job."""
    client.do("/jobs/stock/run")
    answer = client.submit("/jobs/stock/run")
    assert answer.status_code == 409
    assert f'href="{MOUNT}/jobs/stock"' in answer.text


def test_a_request_without_a_principal_gets_401(site: Site) -> None:
    """401 is a problem for programs, with how to sign in, and a page for people."""
    api = site.client(None).get(f"{API}/jobs")
    check(api, 401, "about:blank")
    assert api.headers["www-authenticate"] == "Bearer"
    assert "not signed in" in site.client(None).get(f"{MOUNT}/").text


def test_a_refused_action_is_explained_on_a_page_like_the_others(
    site: Site, client: Client
) -> None:
    """In words of the dashboard, with the navigation, and links to the job and to its runs."""
    site.scheduler.run_now("stock")
    answer = client.submit("/jobs/stock/run")
    assert answer.status_code == 409
    shown = text_of(answer.text)
    assert "Nothing was changed The job stock has a run that has not finished" in shown
    assert "'" not in shown
    assert f'<a href="{MOUNT}/jobs" data-keys="g j" aria-current="page">' in answer.text
    runs = f"{MOUNT}/runs?job=stock&amp;state=scheduled&amp;state=ready&amp;state=running"
    for link in (f"{MOUNT}/jobs/stock", runs):
        assert f'href="{link}"' in answer.text
        assert client.get(html.unescape(link)).status_code == 200
    assert f'name="back" value="{MOUNT}/jobs/stock"' in answer.text


def test_another_error_is_a_whole_sentence(site: Site, client: Client) -> None:
    """It begins with a capital letter and ends with a full stop."""
    site.forward(10)
    run_id = site.run_of("stock")
    shown = text_of(client.submit(f"/runs/{run_id}/retry").text)
    assert (
        f"Run {run_id} is succeeded; only failed, missed or skipped runs can be retried." in shown
    )
    missing = client.get(f"{MOUNT}/jobs/none").text
    assert "Main" in missing.partition("<main")[0]
    assert "Nothing was changed" not in missing


def test_an_error_page_shows_nothing_to_strangers(site: Site) -> None:
    """Without a signed-in user, or a database, it has no navigation and no figures."""
    page = site.client(None).get(f"{MOUNT}/jobs").text
    assert "<nav" not in page
    assert "worker" not in page
