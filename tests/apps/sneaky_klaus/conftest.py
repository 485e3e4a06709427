"""Worlds to test Sneaky Klaus in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask_migrate import upgrade

from apps.sneaky_klaus.app import create_app
from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.settings import Settings
from tests.apps.sneaky_klaus.site import Site
from tests.apps.sneaky_klaus.world import World, world_on
from tests.support.browser import chromium, page
from tests.support.processes import Children
from tests.support.session import only_one, session_folder
from tests.support.template import prepare_template

__all__ = ["chromium", "page"]


@pytest.fixture
def migrated_url(tmp_path: Path) -> str:
    """The URL of a SQLite file with all tables, which are migrated once in a session."""
    template = session_folder() / "klaus.db"
    with only_one("klaus"):
        if not template.exists():
            draft = session_folder() / "klaus-draft.db"
            migrate(f"sqlite:///{draft}")
            draft.rename(template)
    shutil.copy(template, tmp_path / "klaus.db")
    return f"sqlite:///{tmp_path / 'klaus.db'}"


def migrate(url: str) -> None:
    """Create the tables of the application and of Duly."""
    app = create_app(Settings(database_url=url, scheduler_enabled=False))
    with app.app_context():
        upgrade()
        db.engine.dispose()
    prepare_template(url)


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """The application, on the morning of 1 November 2026 in New York."""
    with world_on(migrated_url) as world:
        yield world


@pytest.fixture
def site(migrated_url: str, tmp_path: Path, children: Children) -> Iterator[Site]:
    """A migrated database, for real processes."""
    site = Site(migrated_url, tmp_path, children)
    yield site
    site.close()


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Writes a line into the output of the tests."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")

    return write
