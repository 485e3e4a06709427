"""The content of a prepared test database."""

from __future__ import annotations

import shutil
from pathlib import Path

from duly.clock import SystemClock
from duly.store.store import Store
from tests.support.session import only_one, session_folder


def prepare_template(url: str) -> None:
    """Create Duly's tables in the database at ``url``, once per session and dialect.

    Tests that ask for ``prepared_database_url`` get copies of it and need not run the migrations.
    No connection to it may remain open. The copies have the same stored database identity, so a
    test of that identity has to use an empty ``database_url``.
    """
    store = Store(url, SystemClock())
    try:
        store.prepare()
    finally:
        store.dispose()


def prepared_file(folder: Path) -> str:
    """Copy the session's prepared SQLite file to a folder, and return the URL of the copy."""
    template = session_folder() / "template.db"
    with only_one("template"):
        if not template.exists():
            draft = session_folder() / "draft.db"
            prepare_template(f"sqlite:///{draft}")
            draft.rename(template)
    shutil.copy(template, folder / "duly.db")
    return f"sqlite:///{folder / 'duly.db'}"
