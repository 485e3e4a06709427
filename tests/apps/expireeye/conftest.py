"""Worlds to test ExpireEye in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apps.expireeye.world import World, world_on
from tests.support.browser import chromium, page

__all__ = ["chromium", "page"]


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """ExpireEye on SQLite."""
    with world_on(sqlite_url) as world:
        yield world


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The databases that ExpireEye is made for."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def each_world(database_url: str) -> Iterator[World]:
    """ExpireEye, once on SQLite and once on PostgreSQL."""
    with world_on(database_url) as world:
        yield world
