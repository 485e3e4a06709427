"""The trigger that fires once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from duly.clock import aware_utc
from duly.errors import NaiveDatetimeError, TriggerError
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger
from duly.triggers.due import NOTHING_DUE, Due
from duly.triggers.json_data import check_keys, read_instant

_FIRST = datetime(2, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
"""The range within which an instant has a local time in every zone."""


@dataclass(frozen=True, slots=True, repr=False)
class At(Trigger):
    """A single instant. Created by `at`.

    Attributes:
        instant: the instant, in UTC, from the year 2 to 9998; ``datetime.max`` is drawn in.
    """

    kind: ClassVar[str] = "at"

    instant: datetime

    def __post_init__(self) -> None:
        if not isinstance(self.instant, datetime):
            raise TriggerError(
                f"at() takes an aware datetime, not {self.instant!r}; write for example "
                "at(datetime(2026, 12, 24, 9, tzinfo=UTC)), or cron('0 9 * * *') for every day"
            )
        instant = min(max(aware_utc(self.instant, "at(instant)"), _FIRST), _LAST)
        object.__setattr__(self, "instant", instant)

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        try:
            return self.instant if moment < self.instant else None
        except TypeError:
            raise NaiveDatetimeError(moment, "moment") from None

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `Trigger.due`."""
        try:
            if not after < self.instant <= until:
                return NOTHING_DUE
        except TypeError:
            raise NaiveDatetimeError(until if after.tzinfo else after, "after or until") from None
        kept = (self.instant,) if keep > 0 else ()
        return Due(1, self.instant, self.instant, kept, True)

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return f"once, at {self.instant:%Y-%m-%d %H:%M:%S} UTC"

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        return {"kind": self.kind, "instant": self.instant.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("instant",))
        return cls(read_instant(cls.kind, "instant", data["instant"]))

    def __repr__(self) -> str:
        return f"at({self.instant.isoformat()!r})"


@explained("give one aware datetime, as in at(datetime(2026, 12, 24, 9, tzinfo=UTC))")
def at(instant: datetime) -> At:
    """Create a trigger that fires once.

    Args:
        instant: an aware datetime in any zone.

    Raises:
        NaiveDatetimeError: ``instant`` has no time zone.
        TriggerError: ``instant`` is not a datetime.
    """
    return At(instant)
