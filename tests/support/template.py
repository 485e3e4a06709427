"""What a prepared test database holds."""

from __future__ import annotations

from duly.clock import SystemClock
from duly.store.store import Store


def prepare_template(url: str) -> None:
    """Fill the database at ``url``, once per session and dialect; tests get copies of it.

    The one place that makes Duly's tables for tests that ask for ``prepared_database_url`` and do
    not want to pay for the migrations each time. No connection may stay open. The copies share
    one stored database identity: a test about that identity takes an empty ``database_url``.
    """
    store = Store(url, SystemClock())
    try:
        store.prepare()
    finally:
        store.dispose()
