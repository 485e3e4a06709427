"""The system's Chromium, driven by Playwright; folders of browser tests import its fixtures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

from tests.support.processes import Children
from tests.support.waiting import wait_until

PATIENCE_MS = 90_000
"""How long a page may take to show what is expected: machines that run tests are busy."""

FOCUSED_EARLY = "Autofocus processing was blocked"
"""What the browser says when a test focuses a field before the first frame is drawn."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def find_chromium() -> str | None:
    """Return the path of a Chromium: ``DULY_TEST_CHROMIUM``, or a usual name on the path."""
    named = os.environ.get("DULY_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a Chromium, and close it at the end of the block; skip the tests where none is found.

    While it is open, Playwright runs an event loop in this thread, so no asyncio test can run:
    open it for a module or a folder of browser tests, not for the session.
    """
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found; install one, or name it in DULY_TEST_CHROMIUM")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


def record_problems(page: Page, *, refused: int | None = None) -> list[str]:
    """Return a list to which the problems of all pages of this page's profile are appended.

    A problem is an exception, or a message of the console, of any level. The browser also writes
    a message about each violation of the content security policy, each resource that does not
    load, and each response that refuses a request.

    Args:
        page: the page.
        refused: the status of responses that are no problem, because the test provokes them.
    """
    problems: list[str] = []
    expected = [FOCUSED_EARLY, *([] if refused is None else [f"a status of {refused}"])]

    def hear(message: ConsoleMessage) -> None:
        if not any(text in message.text for text in expected):
            problems.append(f"{message.type}: {message.text}")

    page.context.on("weberror", lambda error: problems.append(f"exception: {error.error}"))
    page.context.on("console", hear)
    return problems


@contextmanager
def open_page(browser: Browser, *, refused: int | None = None, **options: Any) -> Iterator[Page]:
    """Open an empty page of a fresh profile, whose pages must have met no problem at the end.

    Args:
        browser: the browser.
        refused: see `record_problems`.
        options: those of ``Browser.new_context``.
    """
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    problems = record_problems(page, refused=refused)
    try:
        yield page
    finally:
        context.close()
    assert not problems, problems


@contextmanager
def loading(page: Page) -> Iterator[None]:
    """Wait, at the end of the block, until the page to which it leads has loaded.

    Its scripts have run then. A button that is pressed before does what it does without a script.
    """
    with page.expect_event("load", timeout=PATIENCE_MS):
        yield


def follow(target: Locator) -> None:
    """Click a button or a link that leads to another page, and wait until that has loaded."""
    with loading(target.page):
        target.click()


@contextmanager
def same_load(page: Page) -> Iterator[None]:
    """Make sure that a page is neither reloaded nor left in the block."""
    page.evaluate("window.sameLoad = true")
    yield
    assert page.evaluate("window.sameLoad === true"), "the page was loaded anew"


class HeldRequests:
    """Requests of a page that wait until the test lets them continue.

    Only scripts may make them: a click would wait for the page to which a form leads.

    Args:
        page: the page.
        pattern: their address, as for ``Page.route``.
    """

    def __init__(self, page: Page, pattern: str) -> None:
        self._page = page
        self._pattern = pattern
        self._held: list[Route] = []
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        self._held.append(route)

    def next(self) -> Route:
        """Wait for the next request, which the test has to continue or to fulfill."""

        def is_held() -> bool:
            self._page.evaluate("0")  # lets Playwright call the handler
            return bool(self._held)

        wait_until(is_held, what=f"a request for {self._pattern}")
        return self._held.pop(0)

    def release(self) -> None:
        """Let later requests pass."""
        self._page.unroute(self._pattern, self._hold)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A running Chromium; the tests are skipped where none is found."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, children: Children) -> Iterator[Page]:
    """An empty page of a fresh profile; after the test it must have met no problem.

    A test that provokes one on purpose uses `open_page`, or opens its own: ``chromium.new_page()``.
    The page is closed before its server is killed, which would be a problem to it.
    """
    with open_page(chromium) as page:
        yield page
