"""Any id can be in an address."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

import pytest
from starlette.testclient import TestClient

from duly import every
from duly.web import Principal, web_app
from duly.web.paths import PreserveEncodedSlashes, from_segment
from tests.web.site import API, MOUNT, Client, Site

IDS = [
    "a/b", "a/runs", "pause", "50% off?", "a#b", "a b", "ä/ö", "<b>x</b>", "a&b=c;d", "//x",
    "a/../b", "日本", "'quoted'", '"quoted"', "~", "a" * 191,
]  # fmt: skip


@pytest.mark.parametrize("job_id", IDS)
def test_any_id_can_be_read_and_controlled(site: Site, client: Client, job_id: str) -> None:
    """Percent-encoded, any id is one segment of the path."""
    site.scheduler.add("greet", every(hours=1), id=job_id)
    name = quote(job_id, safe="")
    assert client.api(f"/jobs/{name}")["id"] == job_id
    assert client.api(f"/jobs/{name}/runs")["items"] == []
    assert client.do(f"/jobs/{name}/pause").json()["state"] == "paused"
    answer = client.do(f"/jobs/{name}/run")
    assert answer.json()["job_id"] == job_id
    assert client.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("job_id", IDS)
def test_pages_link_to_any_id(site: Site, client: Client, job_id: str) -> None:
    """The jobs page links to the job, and the job's forms return to it."""
    site.scheduler.add("greet", every(hours=1), id=job_id, tags=["odd"])
    page = client.page("/jobs", tag="odd")
    (link,) = set(re.findall(r'class="name" href="([^"]*)"', page))
    shown = client.get(link)
    assert shown.status_code == 200
    (action,) = re.findall(r'action="([^"]*/pause)"', shown.text)
    (back,) = set(re.findall(r'name="back" value="([^"]*)"', shown.text))
    answer = client.submit(action.removeprefix(MOUNT), back=back)
    assert answer.headers["location"] == f"{link}?done=paused"
    assert site.scheduler.job(job_id).state == "paused"


def test_without_a_mount(site: Site) -> None:
    """Without a mount, the paths begin at the root."""
    client = TestClient(web_app(site.scheduler, access=lambda request: Principal("ana")))
    assert 'href="/jobs/stock"' in client.get("/").text
    assert client.get("/api/v1/jobs/stock").status_code == 200


async def test_an_id_that_looks_encoded() -> None:
    """``%252F`` denotes the text ``%2F``, not a slash."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    for raw in (b"/duly/jobs/a%252Fb", b"/duly/jobs/a%2Fb", b"/duly/jobs/%C3%A4%2f"):
        scope = {"type": "http", "path": unquote(raw.decode()), "raw_path": raw}
        await PreserveEncodedSlashes(app)(scope, None, None)  # type: ignore[arg-type]
    assert [from_segment(path) for path in seen] == [
        "/duly/jobs/a%2Fb", "/duly/jobs/a/b", "/duly/jobs/ä/",
    ]  # fmt: skip
    assert [path.count("/") for path in seen] == [3, 3, 3]


def test_a_name_that_cannot_be_stored(client: Client) -> None:
    """An id with control characters gets 404 without a query."""
    for name in ("%00", "a%0Ab", "%1F", "%7F"):
        assert client.get(f"{API}/jobs/{name}").status_code == 404
