"""Checks of values from callers, and their conversion to a form that every database accepts."""

from __future__ import annotations

from typing import TypeVar

from duly.errors import ConfigurationError, DulyError
from duly.model.text import replace_unstorable

E = TypeVar("E", bound=DulyError)
MAX_PAGE = 1000
MAX_ROW_NUMBER = 2**63 - 1


def page_size(limit: int) -> int:
    """Return a limit of results unchanged if it is valid.

    Raises:
        ConfigurationError: it is not from 1 to 1000.
    """
    given: object = limit
    is_number = isinstance(given, int) and not isinstance(given, bool)
    if not is_number or not 1 <= limit <= MAX_PAGE:
        raise ConfigurationError(f"limit={limit!r}; it must be 1 to {MAX_PAGE}")
    return limit


def row_number(number: int) -> int:
    """Return the id of an event or a log line, clamped to the integers of a database."""
    return max(-MAX_ROW_NUMBER, min(number, MAX_ROW_NUMBER))


def searchable(text: str | None) -> str | None:
    """Return a search term with the characters replaced that a database does not accept."""
    return None if text is None else replace_unstorable(text)


def with_position(error: E, position: str) -> E:
    """Return the same error, with the position of the invalid item in front of its message."""
    error.args = (f"{position}: {error}", *error.args[1:])
    return error
