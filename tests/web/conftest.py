"""A site for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.site import Client, Site


@pytest.fixture
def site(prepared_sqlite_url: str) -> Iterator[Site]:
    """A scheduler and its web application, stepped by hand."""
    held = Site(prepared_sqlite_url)
    yield held
    held.scheduler.stop(grace=0)


@pytest.fixture
def client(site: Site) -> Client:
    """An admin's browser."""
    return site.client("admin")
