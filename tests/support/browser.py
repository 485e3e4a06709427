"""The system's Chromium, driven by Playwright; folders of browser tests import its fixtures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.processes import Children

PATIENCE_MS = 90_000
"""How long a page may take to show what is expected: machines that run tests are busy."""
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
def open_browser(path: str) -> Iterator[Browser]:
    """Start a browser, and close it at the end of the block.

    While it is open, Playwright runs an event loop in this thread, so no asyncio test can run:
    open it for one module of browser tests, not for the session.
    """
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


def record_problems(page: Page) -> list[str]:
    """Return a list to which the page's errors are appended: exceptions and console errors.

    They include violations of the content security policy and resources that do not load.
    """
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    return problems


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A running Chromium; the tests are skipped where none is found."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found; install one, or name it in DULY_TEST_CHROMIUM")
    with open_browser(path) as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, children: Children) -> Iterator[Page]:
    """An empty page of a fresh profile; after the test it must have met no error.

    A test that provokes an error on purpose opens its own: ``chromium.new_page()``. The page is
    closed before its server is killed, which would be an error to it.
    """
    context = chromium.new_context()
    page = context.new_page()
    problems = record_problems(page)
    yield page
    context.close()
    assert not problems, problems
