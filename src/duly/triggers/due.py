"""The occurrences of a trigger within a stretch of time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Due(NamedTuple):  # made per fire: a frozen dataclass takes three times as long
    """The occurrences of a trigger in a half-open stretch of time ``(after, until]``.

    Attributes:
        count: how many there are, as far as the search went.
        first: the earliest, or ``None``.
        last: the latest that was found, or ``None``.
        newest: the latest of them, ascending, at most as many as were asked for.
        complete: ``False`` when the search stopped at its limit; it got as far as ``last``.
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody wants here
    first: datetime | None
    last: datetime | None
    newest: tuple[datetime, ...]
    complete: bool


NOTHING_DUE = Due(0, None, None, (), True)
