"""The web application in a server process, and a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.demo import KEY
from tests.support.browser import chromium, page, record_problems
from tests.support.processes import Children, Server

__all__ = ["chromium", "page"]
MOUNT = "/duly"

in_both_hosts = pytest.mark.parametrize("host", ["asgi", "flask"])
"""Runs a test in an ASGI host, whose pages are streamed to, and in Flask, where they poll."""


@pytest.fixture
def host() -> str:
    """The host of the web application; `in_both_hosts` lets a test run in each."""
    return "asgi"


@pytest.fixture
def server(children: Children, sqlite_url: str, tmp_path: Path, host: str) -> Server:
    """The web application on a scheduler that runs; `door` opens what its tasks wait for."""
    ready = f"{MOUNT}/static/styles/frame.css"
    env = {"DEMO_DATABASE": sqlite_url, "DEMO_DOOR": str(tmp_path / "door")}
    if host == "asgi":
        return children.uvicorn("tests.browser.demo:app", ready=ready, env=env)
    flask = ("-m", "flask", "--app", "tests.browser.flask_demo", "run", "--port", "0")
    return children.server(*flask, ready=ready, env=env)


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """The file that the task ``gated`` waits for; its content decides how the task ends."""
    return tmp_path / "door"


@pytest.fixture
def signed_in(server: Server, page: Page) -> Page:
    """A signed-in page that shows the overview; the test fails if the page had an error."""
    page.goto(f"{server.url}{MOUNT}/?key={KEY}")
    return page


@pytest.fixture
def unscripted(server: Server, chromium: Browser) -> Iterator[Page]:
    """A signed-in page in a browser without JavaScript."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    problems = record_problems(page)
    page.goto(f"{server.url}{MOUNT}/?key={KEY}")
    yield page
    context.close()
    assert not problems, problems
