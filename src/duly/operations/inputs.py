"""Values that callers give, in a form that every database takes."""

from __future__ import annotations

from typing import TypeVar

from duly.errors import ConfigurationError, DulyError
from duly.model.text import replace_unstorable, storable_text

E = TypeVar("E", bound=DulyError)
MAX_PAGE = 1000
MAX_ROW_NUMBER = 2**63 - 1
MAX_REASON = 4_000
"""The number of characters of a reason that are kept."""


def page_size(limit: int) -> int:
    """Return a valid number of results.

    Raises:
        ConfigurationError: it is not 1 to 1000.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ConfigurationError(f"limit={limit}; it must be 1 to {MAX_PAGE}")
    return limit


def row_number(number: int) -> int:
    """Return the number of an event or a log line, drawn into what a database can compare."""
    return max(-MAX_ROW_NUMBER, min(number, MAX_ROW_NUMBER))


def searchable(text: str | None) -> str | None:
    """Return a search term without the characters that a database refuses."""
    return None if text is None else replace_unstorable(text)


def storable_reason(reason: str | None) -> str | None:
    """Return a reason as it is stored: cut, and without the characters that a database refuses."""
    return None if reason is None else storable_text(str(reason), MAX_REASON)


def blamed(error: E, place: str) -> E:
    """Return the error with the place of the item at fault at the beginning of its message."""
    error.args = (f"{place}: {error}", *error.args[1:])
    return error
