"""Worlds to test the alert system in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apps.alerts.world import World, world_on
from tests.support.browser import chromium, page

__all__ = ["chromium", "page"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The databases that the application is made for."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """The alert system, once on SQLite and once on PostgreSQL."""
    with world_on(database_url) as world:
        yield world
