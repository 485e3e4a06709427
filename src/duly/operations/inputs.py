"""Checks of values from callers, and their conversion to a form that every database accepts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from duly.errors import ConfigurationError, DulyError
from duly.model.text import replace_unstorable, safe_repr

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


def owner_names(owners: Sequence[str]) -> tuple[str, ...]:
    """Return the owners of a filter in a form that every database accepts.

    Raises:
        ConfigurationError: it is not a sequence of names; one name alone is a mistake.
    """
    given: object = owners
    if (
        isinstance(given, str)
        or not isinstance(given, Iterable)
        or not all(isinstance(name, str) for name in owners)
    ):
        raise ConfigurationError(
            f"owners={safe_repr(owners, 200)}; give a list of names, such as ['acme']"
        )
    return tuple(replace_unstorable(name) for name in owners)


def with_position(error: E, position: str) -> E:
    """Return the same error, with the position of the invalid item in front of its message."""
    error.args = (f"{position}: {error}", *error.args[1:])
    return error
