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
        looked: with ``look``, the id at which the search has ended before the limit was reached;
            ``after=page.looked`` continues it. Otherwise ``None``.
    """

    def __init__(
        self, records: Iterable[T] = (), *, more: bool = False, looked: str | None = None
    ) -> None:
        super().__init__(records)
        self.more = more
        self.looked = looked

    @classmethod
    def of(cls, records: list[T], limit: int, looked: str | None = None) -> Page[T]:
        """Return the page of a query that asked for one record more than ``limit``.

        Args:
            records: the records.
            limit: the size of the page.
            looked: the id at which the search ended, if it ended before all were seen.
        """
        if len(records) > limit:
            return cls(records[:limit], more=True)
        return cls(records, more=looked is not None, looked=looked)
