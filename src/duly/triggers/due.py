"""The occurrences of a trigger within a period."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Due(NamedTuple):  # created for every fire: a frozen dataclass takes three times as long
    """The occurrences of a trigger in the half-open period ``(after, until]``.

    Attributes:
        count: the number of occurrences found.
        first: the earliest of them, or ``None``.
        last: the latest of them, or ``None``.
        newest: the latest ``keep`` of them, in ascending order.
        complete: ``False`` if the search stopped at its limit, with ``last``.
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which is not used
    first: datetime | None
    last: datetime | None
    newest: tuple[datetime, ...]
    complete: bool


NOTHING_DUE = Due(0, None, None, (), True)
