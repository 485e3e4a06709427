"""The trigger that fires once, at an instant or some days before one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.errors import NaiveDatetimeError, TriggerError
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger
from duly.triggers.due import NOTHING_DUE, Due
from duly.triggers.json_data import check_keys, read_instant
from duly.triggers.times_of_day import read_time
from duly.triggers.wallclock.clock import instant as resolved
from duly.triggers.wallclock.clock import local
from duly.triggers.wallclock.zones import load_zone, zone_name

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


@explained("name the days and the zone, as in before(event, days=7, tz='America/New_York')")
def before(event: datetime, *, days: int, at: str | time | None = None, tz: str | tzinfo) -> At:
    """Create a trigger that fires once, whole days of the calendar before an event.

    The days are counted on the wall clock of ``tz`` (rule R8 of docs/design/time.md): seven days
    before 18:00 it is 18:00, even if the clocks change in between. A time that does not exist on
    that day is moved forward by the length of the gap; one that occurs twice fires the first time.

    The result equals ``at(…)`` of that instant, which is its ``instant``. It does not follow the
    event: create it again when the event moves.

    Args:
        event: an aware datetime in any zone.
        days: the number of days, from 0.
        at: the time of day in ``tz``, such as ``"09:00"``; default: that of the event.
        tz: the IANA zone in which the event takes place, such as ``"America/New_York"``.

    Raises:
        NaiveDatetimeError: ``event`` has no time zone.
        TriggerError: an argument is not valid, or the time is after the event.
    """
    name = zone_name(tz)
    if name is None:
        raise TriggerError("before() requires tz=, the zone of the event, such as 'Europe/Madrid'")
    if not isinstance(event, datetime):
        raise TriggerError(f"before() takes the event as an aware datetime, not {event!r}")
    if type(days) is not int or days < 0:
        raise TriggerError(f"before(days=…) must be a whole number from 0, not {days!r}")
    end = At(aware_utc(event, "the event of before()"))
    trigger = At(_days_before(end.instant, days, at, load_zone(name)))
    if trigger.instant > end.instant:
        raise TriggerError(f"before() gives {trigger!r}, which is after the event, {end!r}")
    return trigger


def _days_before(event: datetime, days: int, at: str | time | None, zone: ZoneInfo) -> datetime:
    """Return the instant of the wall time of ``event``, or of ``at``, some days earlier."""
    wall = local(event, zone)
    if at is not None:
        wall = datetime.combine(wall, time()) + timedelta(seconds=read_time(at))
    try:
        return resolved(wall - timedelta(days=days), zone)
    except OverflowError:
        raise TriggerError(f"{days} days before {event:%Y-%m-%d} is before the year 1") from None
