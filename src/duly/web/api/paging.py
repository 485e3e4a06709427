"""Pagination: one item more than requested is read, to find out if there is another page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from duly.web.api.schemas import Page

MAX_LIMIT = 500
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
Number = Annotated[int, Field(ge=0, lt=2**63)]
"""An id that the database generates."""

R = TypeVar("R")


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _written(value: Any) -> Any:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("write an instant as 2026-12-24T18:00:00+01:00 (RFC 3339)")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written), Field(strict=False)]
"""An instant as in RFC 3339, with an offset; pydantic would also accept numbers and dates."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
"""A short line of text."""


class QueryModel(BaseModel):
    """Base class of query parameters; empty ones are left out, as forms send them."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, given: dict[str, Any]) -> dict[str, Any]:
        filled = {
            name: [each for each in value if each] if isinstance(value, list) else value
            for name, value in given.items()
        }
        return {name: value for name, value in filled.items() if value not in ("", [])}


class PageQuery(QueryModel):
    """The page to return."""

    after: Annotated[
        Text | None,
        Field(description="The member `next` of the previous page; default: the first page."),
    ] = None
    limit: Annotated[Limit, Field(description="The largest number of items.")] = 50


class DryRunQuery(QueryModel):
    """Whether to count what matches, and change nothing."""

    dry_run: bool = False


DryRun = Annotated[DryRunQuery, Query()]


class BodyModel(BaseModel):
    """Base class of JSON bodies; unknown members are refused, and no type becomes another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def page(records: Sequence[R], limit: int, key: Callable[[R], object]) -> Page[R]:
    """Return a page of records.

    Args:
        records: the records that the scheduler returned for ``limit + 1``.
        limit: the largest number of items on the page.
        key: returns the cursor of an item.
    """
    items = list(records[:limit])
    more = len(records) > limit
    return Page(items=items, next=str(key(items[-1])) if more else None)


def page_of_all(records: Sequence[R], query: PageQuery, key: Callable[[R], str]) -> Page[R]:
    """Return a page of a list that is short enough to be read as a whole, sorted by its keys."""
    rest = sorted((item for item in records if key(item) > (query.after or "")), key=key)
    return page(rest[: query.limit + 1], query.limit, key)
