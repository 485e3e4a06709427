"""Worlds to test ManageIt in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from duly import SystemClock
from tests.apps.manageit.world import World, app_on, world_on
from tests.support.browser import chromium, page
from tests.support.session import only_one, session_folder
from tests.support.template import prepare_template

if TYPE_CHECKING:
    from tests.support.mariadb import MariaDatabases

__all__ = ["chromium", "page"]


def prepare(url: str) -> None:
    """Create the tables of the application and of Duly, and two messes."""
    prepare_template(url)
    with app_on(url, SystemClock()) as world:
        world.mess("mess1")
        world.mess("mess2")


@pytest.fixture
def manageit_sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file as `prepare` leaves it."""
    template = session_folder() / "manageit.db"
    with only_one("manageit"):
        if not template.exists():
            draft = session_folder() / "manageit-draft.db"
            prepare(f"sqlite:///{draft}")
            draft.rename(template)
    shutil.copy(template, tmp_path / "manageit.db")
    return f"sqlite:///{tmp_path / 'manageit.db'}"


@pytest.fixture(scope="session")
def manageit_databases(maria_databases: MariaDatabases) -> Iterator[MariaDatabases]:
    """Lends databases as `prepare` leaves them."""
    from tests.support.mariadb import MariaDatabases, Template

    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    databases = MariaDatabases(f"{worker}_manageit", Template("manageit", prepare))
    yield databases
    databases.close()


@pytest.fixture
def manageit_mariadb_url(manageit_databases: MariaDatabases) -> Iterator[str]:
    """The URL of a MariaDB database as `prepare` leaves it."""
    url = manageit_databases.lend()
    yield url
    manageit_databases.take_back(url)


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a prepared database; the test runs once on each kind."""
    return str(request.getfixturevalue(f"manageit_{request.param}_url"))


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """The application, at noon of a Monday in Kolkata, once on each kind of database."""
    with world_on(url) as world:
        yield world
