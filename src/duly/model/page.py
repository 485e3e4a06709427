"""A page: the records that a query returned, and whether there are more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

MAX_IDS = 1000
"""The maximum number of ids by which jobs or runs can be chosen."""


class Page(list[T]):
    """A list of records that knows whether the limit of its query left any out.

    Attributes:
        more: whether there are more records; ``after=page[-1].id`` asks for them.
    """

    def __init__(self, records: Iterable[T] = (), *, more: bool = False) -> None:
        super().__init__(records)
        self.more = more

    @classmethod
    def of(cls, records: list[T], limit: int) -> Page[T]:
        """Return the page of a query that asked for one record more than ``limit``."""
        return cls(records[:limit], more=len(records) > limit)
