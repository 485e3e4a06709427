"""The filters of a list: what its query gives, what it asks for, and what its forms repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from duly.model.job import JobRecord
from duly.model.page import Page
from duly.model.run import RunRecord
from duly.web.api import schemas
from duly.web.context import RequestContext

MAX_SEARCHED = 20_000
"""The number of jobs or runs that one page looks at, so that a search for few takes no longer."""

R = TypeVar("R", JobRecord, RunRecord)


@dataclass(frozen=True, slots=True)
class ListFilters:
    """The filters of a list of jobs or runs.

    Attributes:
        given: the filters that are set, by the names of the query; ``owner`` is one owner.
    """

    given: Mapping[str, Any]

    def __bool__(self) -> bool:
        return bool(self.given)

    def own(self, context: RequestContext) -> dict[str, Any]:
        """Return the filters as the scheduler takes them, restricted to the user's owners."""
        filters = dict(self.given)
        owner = filters.pop("owner", None)
        owners = context.owners
        if owner is not None:
            owners = [owner] if context.principal.owns(owner) else []
        return {**filters, "owners": owners}

    def with_states(self, states: list[str]) -> ListFilters:
        """Return the same filters for runs in these states alone."""
        return ListFilters({**self.given, "state": states})

    def fields(self) -> Iterator[tuple[str, str]]:
        """Return the filters as the names and values of form fields."""
        for name, value in self.given.items():
            for each in value if isinstance(value, list | tuple) else [value]:
                yield name, each.isoformat() if isinstance(each, datetime) else str(each)


def page_of(found: Page[R], cursor: Callable[[R], str] = lambda item: item.id) -> schemas.Page[R]:
    """Return a page of redacted records, with the position of the next page if there is one."""
    position = found.looked or (cursor(found[-1]) if found.more else None)
    return schemas.Page(items=[item.redacted() for item in found], next=position)
