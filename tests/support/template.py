"""The content of a prepared test database."""

from __future__ import annotations

from duly.clock import SystemClock
from duly.store.store import Store


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
