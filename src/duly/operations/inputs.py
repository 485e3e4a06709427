"""Checks of values from callers, and their conversion to a form that every database accepts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from duly.errors import ConfigurationError, DulyError
from duly.model.page import MAX_IDS
from duly.model.text import replace_unstorable, safe_repr

E = TypeVar("E", bound=DulyError)
MAX_PAGE = 1000
MAX_SEARCH = 1_000_000
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


def search_size(look: int) -> int:
    """Return a number of rows to look at unchanged if it is valid.

    Raises:
        ConfigurationError: it is not from 1 to 1,000,000.
    """
    given: object = look
    is_number = isinstance(given, int) and not isinstance(given, bool)
    if not is_number or not 1 <= look <= MAX_SEARCH:
        raise ConfigurationError(f"look={look!r}; it must be 1 to {MAX_SEARCH}")
    return look


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
    return _names("owners", owners, "names, such as ['acme']")


def chosen_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of a filter in a form that every database accepts.

    Raises:
        ConfigurationError: it is not a sequence of texts, or has more than `MAX_IDS` of them.
    """
    chosen = _names("ids", ids, "ids")
    if len(chosen) > MAX_IDS:
        raise ConfigurationError(f"ids has {len(chosen)} members; give at most {MAX_IDS}")
    return chosen


def _names(option: str, given: object, of: str) -> tuple[str, ...]:
    if isinstance(given, Iterable) and not isinstance(given, str):
        names = tuple(given)
        if all(isinstance(name, str) for name in names):
            return tuple(map(replace_unstorable, names))
    raise ConfigurationError(f"{option}={safe_repr(given, 200)}; give a list of {of}")


def with_position(error: E, position: str) -> E:
    """Return the same error, with the position of the invalid item in front of its message."""
    error.args = (f"{position}: {error}", *error.args[1:])
    return error
