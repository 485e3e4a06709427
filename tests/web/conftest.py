"""A site for each test, and one that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.template import prepared_file
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


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose job ``stock`` has run, for tests whose requests change nothing."""
    held = Site(prepared_file(tmp_path_factory.mktemp("site")))
    held.forward(10)
    yield held
    held.scheduler.stop(grace=0)
