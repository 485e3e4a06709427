"""Names, arguments, errors and logs are text; secrets among them are hidden."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from duly import Run, every
from duly.model.redaction import HIDDEN, redact, redact_text
from duly.web.paths import segment
from tests.web.site import Client, Site

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


def test_nothing_stored_becomes_html(site: Site, client: Client) -> None:
    """An id, a tag, arguments, a reason, a log line and an error are shown as they are written."""

    @site.scheduler.task(name="evil <script>alert(1)</script>")
    def evil(text: str, run: Run) -> None:
        run.log.warning("%s", text)
        run.progress(1, None, text)
        raise ValueError(text)

    job = f"job {EVIL}"
    site.scheduler.add(
        "evil <script>alert(1)</script>", every(hours=1), id=job, tags=[EVIL], args={"text": EVIL}
    )
    run = site.scheduler.run_now(job, actor=EVIL).id
    site.scheduler.tick()
    site.scheduler.pause(job, reason=EVIL, actor=EVIL)
    site.scheduler.pause_queue("default", reason=EVIL, actor=EVIL)
    name = client.api("/jobs", tag=EVIL)["items"][0]["id"]
    assert name == job
    pages = ["/", "/jobs", f"/jobs/{segment(job)}", "/runs", f"/runs/{run}"]
    for page in pages:
        text = client.page(page)
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "&#39;&amp;{{7*7}}" in text
        assert "&lt;script&gt;alert(1)" in text


def test_a_search_is_shown_as_text(client: Client) -> None:
    """A search term in the URL is escaped, too."""
    for page in ("/jobs", "/runs"):
        text = client.page(page, text=EVIL, task=EVIL)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_a_url_cannot_inject_a_message(client: Client) -> None:
    """The address can choose a message after an action, but not write one."""
    assert "The job was paused." in client.page("/jobs", done="paused")
    assert "buy now" not in client.page("/jobs", done="buy now")


def test_secrets_are_hidden(site: Site, client: Client) -> None:
    """In arguments, results, errors, tracebacks and logs: pages and API (security rule 7)."""

    @site.scheduler.task()
    def leaky(api_token: str, url: str, run: Run) -> dict[str, Any]:
        run.log.info("calling %s with password=%s", url, api_token)
        if run.attempt == 1:
            raise ConnectionError(f"{url} refused Authorization: Bearer {api_token}")
        return {"session": {"client_secret": api_token}, "url": url}

    args = {"api_token": "geheim123", "url": "https://ana:geheim123@shop.example/feed"}
    site.scheduler.add(leaky, every(hours=1), id="leaky", args=args, retry=2)
    run = site.scheduler.run_now("leaky").id
    site.forward(0)
    site.forward(60)
    assert site.scheduler.run(run).state == "succeeded"
    for path in ("/jobs/leaky", f"/runs/{run}", f"/runs/{run}/log", f"/runs/{run}/attempts"):
        held = json.dumps(client.api(path))
        assert "geheim" not in held
        assert HIDDEN in held
    for page in ("/", "/jobs/leaky", "/runs", f"/runs/{run}"):
        assert "geheim" not in client.page(page)
    assert client.api(f"/runs/{run}")["result"]["session"]["client_secret"] == HIDDEN


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "x", "user": "ana"}, {"password": HIDDEN, "user": "ana"}),
        ({"DB_PASSWD": "x"}, {"DB_PASSWD": HIDDEN}),
        ({"apiKey": "x", "api-key": "x"}, {"apiKey": HIDDEN, "api-key": HIDDEN}),
        ([{"deep": [{"token": {"a": 1}}]}], [{"deep": [{"token": HIDDEN}]}]),
        ({"token": None, "secret": ""}, {"token": None, "secret": ""}),
        ({"n": 1, "ok": True, "none": None}, {"n": 1, "ok": True, "none": None}),
        ("https://u:p@h/x", f"https://{HIDDEN}@h/x"),
    ],
)
def test_values_are_hidden_by_name(value: Any, shown: Any) -> None:
    """Values are hidden at every depth and of any type, unless they are empty."""
    assert redact(value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=abc rest", f"password={HIDDEN} rest"),
        ("{'secret': 'a b', 'n': 1}", f"{{'secret': {HIDDEN}, 'n': 1}}"),
        ('{"access_token":"a.b-c"}', f'{{"access_token":{HIDDEN}}}'),
        ("?token=abc&page=2", f"?token={HIDDEN}&page=2"),
        ("Authorization: Bearer abcdef.ghi", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("postgresql://ana:geheim@db/x", f"postgresql://{HIDDEN}@db/x"),
        ("mail to ana@example.org", "mail to ana@example.org"),
        ("\x1b[31mred\x1b[0m\x00\x08 line\nnext\tcolumn", "red line\nnext\tcolumn"),
        ("the token has expired", "the token has expired"),
    ],
)
def test_text_is_cleaned(text: str, shown: str) -> None:
    """Of secrets (security rule 7) and of control characters (security rule 9)."""
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text", ["token" * 20_000, "://" * 30_000, "password " * 10_000, "a" * 100_000]
)
def test_cleaning_is_fast(text: str) -> None:
    """No text makes it slow: 100 kB in far less than the quadratic time of a careless pattern."""
    began = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - began < 10
