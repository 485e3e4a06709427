"""Pages: one more than asked for is read, to know whether another page follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from duly.web.api.fields import Schema
from duly.web.api.schemas import Page

MAX_LIMIT = 500
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
Number = Annotated[int, Field(ge=0, lt=2**63)]
"""The id of what the database numbers."""

S = TypeVar("S", bound=Schema)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
"""One short line."""


class QueryModel(BaseModel):
    """Parameters of a query; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BodyModel(BaseModel):
    """A body; unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def page(records: Sequence[Any], limit: int, shape: type[S], key: Callable[[S], object]) -> Page[S]:
    """The first ``limit`` records; ``records`` has one more when another page follows.

    Args:
        records: what the facade answered to ``limit + 1``.
        limit: how many were asked for.
        shape: what they become.
        key: the cursor of an item.
    """
    items = [shape.model_validate(record) for record in records[:limit]]
    more = len(records) > limit
    return Page(items=items, next=str(key(items[-1])) if more else None)
