"""The dashboard of a running scheduler, and a real browser that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.demo import KEY, Door, Host, Site, open_site
from tests.support.browser import open_browser, open_page

Visit: TypeAlias = Callable[..., AbstractContextManager[Page]]

in_both_hosts = pytest.mark.parametrize("host", ["asgi", "flask"])
"""Runs a test in an ASGI host, whose pages are streamed to, and in Flask, where they poll."""


@pytest.fixture
def host() -> Host:
    """The host of the web application; `in_both_hosts` lets a test run in each."""
    return "asgi"


@pytest.fixture
def site(prepared_sqlite_url: str, host: Host) -> Iterator[Site]:
    """A site with a scheduler that runs."""
    with open_site(prepared_sqlite_url, host) as site:
        yield site


@pytest.fixture
def door(site: Site) -> Door:
    """What the tasks of the site wait for."""
    return site.door


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A running Chromium for all tests of this folder, none of which may be a coroutine."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(site: Site, chromium: Browser) -> Visit:
    """Opens a page of a signed-in user: ``with visit("/workers", refused=422) as page:``.

    Without a path, it is empty. At the end of the block, its profile must have met no problem. The
    options are those of `open_page`.
    """

    @contextmanager
    def visit(path: str | None = None, **options: Any) -> Iterator[Page]:
        with open_page(chromium, **options) as page:
            page.request.get(f"{site.url}/?key={KEY}", max_redirects=0)
            if path is not None:
                page.goto(site.url + path)
            yield page

    return visit


@pytest.fixture
def signed_in(visit: Visit) -> Iterator[Page]:
    """An empty page of a signed-in user; the test fails if its profile met a problem."""
    with visit() as page:
        yield page


@pytest.fixture
def unscripted(visit: Visit) -> Iterator[Page]:
    """The same in a browser without JavaScript."""
    with visit(java_script_enabled=False) as page:
        yield page
