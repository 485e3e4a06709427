"""The trigger that fires at fixed intervals of real time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from duly.clock import aware_utc
from duly.errors import NaiveDatetimeError, TriggerError
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger
from duly.triggers.due import NOTHING_DUE, Due
from duly.triggers.english import describe_span
from duly.triggers.json_data import check_keys, read_instant
from duly.triggers.wallclock.seconds import EPOCH

_ONE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, repr=False)
class Every(Trigger):
    """Every instant ``anchor + n * period`` for every integer n. Created by `every`.

    Attributes:
        period: the interval; a day is 24 hours, whatever the wall clock does.
        anchor: one instant of the series, in UTC; ``None`` until bound, which counts as 1970-01-01.
            The series extends in both directions: use the job's ``start`` to begin later.
    """

    kind: ClassVar[str] = "every"

    period: timedelta
    anchor: datetime | None = None

    def __post_init__(self) -> None:
        if self.period < _ONE:
            raise TriggerError(
                f"an interval must be positive, not {self.period.total_seconds():g} seconds"
            )
        if self.anchor is not None:
            object.__setattr__(self, "anchor", aware_utc(self.anchor, "anchor"))

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        period = self.period
        anchor = self.anchor or EPOCH
        try:
            return anchor + ((moment - anchor) // period + 1) * period
        except OverflowError:
            return _beyond_calendar(moment, period)
        except TypeError:
            raise NaiveDatetimeError(moment, "moment") from None

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `Trigger.due`; counts by arithmetic, so it never reaches the limit."""
        period = self.period
        anchor = self.anchor or EPOCH
        try:
            low = (after - anchor) // period + 1
            high = (until - anchor) // period
        except TypeError:
            raise NaiveDatetimeError(until if after.tzinfo else after, "after or until") from None
        if high < low:
            return NOTHING_DUE
        last = anchor + high * period
        if high == low:
            return Due(1, last, last, (last,) if keep > 0 else (), True)
        oldest = max(low, high + 1 - keep)
        newest = tuple(anchor + n * period for n in range(oldest, high + 1))
        return Due(high - low + 1, anchor + low * period, last, newest, True)

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Every:
        """See `Trigger.bind`; uses the anchor."""
        return self if self.anchor or anchor is None else Every(self.period, anchor)

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return f"every {describe_span(self.period)}"

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        seconds = self.period.total_seconds()
        whole = not self.period.microseconds
        data: dict[str, Any] = {"kind": self.kind, "seconds": int(seconds) if whole else seconds}
        if self.anchor:
            data["anchor"] = self.anchor.isoformat()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("seconds",), optional=("anchor",))
        anchor = data.get("anchor")
        start = None if anchor is None else read_instant(cls.kind, "anchor", anchor)
        return cls(_period(seconds=data["seconds"]), start)

    def __repr__(self) -> str:
        rest = self.period - timedelta(days=self.period.days)
        seconds = rest.total_seconds() if rest.microseconds else rest.seconds
        units = (("days", self.period.days), ("seconds", seconds))
        arguments = [f"{unit}={count}" for unit, count in units if count]
        if self.anchor:
            arguments.append(f"anchor={self.anchor.isoformat()!r}")
        return f"every({', '.join(arguments)})"


@explained("name the unit, as in every(minutes=5), every(hours=1) or every(days=1)")
def every(
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    anchor: datetime | None = None,
) -> Every:
    """Create a trigger that fires at fixed intervals of real time.

    A day is 24 hours here. To fire at the same wall-clock time every day, use ``cron`` or
    ``calendar``. The interval is the sum of all units.

    Args:
        weeks: weeks of 7 days; default 0.
        days: days of 24 hours; default 0.
        hours: hours; default 0.
        minutes: minutes; default 0.
        seconds: seconds, with a resolution of one microsecond; default 0.
        anchor: one instant of the series, aware; default: the instant at which the job is first
            stored.

    Raises:
        TriggerError: the interval is zero, negative, too long or not a number.
        NaiveDatetimeError: ``anchor`` has no time zone.
    """
    period = _period(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return Every(period, anchor)


def _period(**units: float) -> timedelta:
    for unit, value in units.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TriggerError(f"every({unit}=…) must be a number, not {str(value)[:40]!r}")
    try:
        return timedelta(**units)
    except (OverflowError, ValueError):
        given = ", ".join(f"{unit}={value}" for unit, value in units.items() if value)
        raise TriggerError(f"every({given}) is not a valid interval") from None


def _beyond_calendar(moment: datetime, period: timedelta) -> datetime | None:
    """Return the next occurrence where the series leaves the calendar, the years 1 to 9999."""
    if aware_utc(moment, "moment") <= datetime.min.replace(tzinfo=UTC) + period:
        return datetime.min.replace(tzinfo=UTC)
    return None
