"""What a scheduler has before anybody has said which database is its own."""

from __future__ import annotations

from enum import Enum
from typing import NoReturn

from duly.clock import Clock
from duly.errors import DatabaseURLError
from duly.store.store import Store


class Later(Enum):
    """In the place of a URL: it will be said. ``None`` does not say so; it may be a slip."""

    LATER = "said later"


_PLACEHOLDER = "sqlite:///no-database-yet"
"""Nobody ever connects to it."""


class NoDatabase(Store):
    """Stands in: declaring works, and whatever needs the database says what is missing.

    Args:
        clock: this process's clock.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(_PLACEHOLDER, clock)

    def __str__(self) -> str:
        return "no database yet"

    def _translated(self) -> NoReturn:
        """Everything that would connect begins here."""
        raise DatabaseURLError(
            "this scheduler was made without a database URL and has been given none since: write "
            "Scheduler('sqlite:///app.db'), call scheduler.use_database(url), or in Flask set "
            "app.config['DULY_URL'] before init_app(app, scheduler)"
        )
