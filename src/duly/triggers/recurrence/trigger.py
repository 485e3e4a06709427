"""The RRULE trigger: fires by a recurrence rule of iCalendar (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.errors import TriggerError
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.json_data import check_keys
from duly.triggers.recurrence.describe import describe_rule
from duly.triggers.recurrence.pattern import rule_pattern
from duly.triggers.recurrence.text import SECONDS, Rule, read_rule
from duly.triggers.wallclock.clock import (
    ANY_CLOCK,
    CLOCK_KEYS,
    Fold,
    Gap,
    WallClock,
    local,
    shared_clock,
)
from duly.triggers.wallclock.search import WallSearch, next_after, nominal_wall
from duly.triggers.wallclock.timeline import Timeline
from duly.triggers.wallclock.zones import zone_name

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time


@dataclass(frozen=True, slots=True, repr=False)
class RRule(Trigger):
    """An RRULE on a wall clock. Created by `rrule`.

    Hourly, minutely and secondly rules match real instants, as a cron whose hour field is ``*``
    does (rule R2); the others match the wall clock.

    Attributes:
        text: the rule, its parts in a fixed order.
        start: the first possible wall time (DTSTART); ``None`` until bound, which counts as
            1970-01-01.
        clock: the wall clock on which the rule is read.
    """

    kind: ClassVar[str] = "rrule"

    text: str
    start: datetime | None = None
    clock: WallClock = ANY_CLOCK

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TriggerError(f"an RRULE must be a string, not {self.text!r}")
        object.__setattr__(self, "text", read_rule(self.text).text)
        if self.start is not None:
            rule_pattern(self.text, self.start)

    @property
    def rule(self) -> Rule:
        """The parsed rule."""
        return read_rule(self.text)

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        rule = self.rule
        fire = next_after(self._pattern, self._timeline, moment)
        ended = fire is not None and rule.until and rule.until.tzinfo and fire > rule.until
        return None if ended else fire

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`."""
        own = zone is self.clock.zone
        return nominal_wall(self._pattern, self._timeline, fire) if own else local(fire, zone)

    @property
    def _pattern(self) -> WallSearch:
        return rule_pattern(self.text, self.start or _EPOCH)

    @property
    def _timeline(self) -> Timeline:
        return self.clock.real_timeline if self.rule.freq in SECONDS else self.clock.timeline

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> RRule:
        """See `Trigger.bind`; uses the zone, and the wall time of the anchor in it as the start."""
        clock, start = self.clock.bound(tz), self.start
        if start is None and anchor is not None:
            start = local(anchor, clock.zone).replace(microsecond=0)
        return replace(self, clock=clock, start=start)

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        return () if self.rule.freq in SECONDS else (WallPart(self._pattern, self.clock),)

    @property
    def tz(self) -> str | None:
        """See `Trigger.tz`."""
        return self.clock.tz

    @property
    def wall_clock(self) -> bool:
        """Always true."""
        return True

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return describe_rule(self.rule, self.start) + self.clock.in_words()

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        data = {"kind": self.kind, "rule": self.text, **self.clock.to_json()}
        return data if self.start is None else {**data, "start": self.start.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("rule",), optional=(*CLOCK_KEYS, "start"))
        return cls(data["rule"], _start(data.get("start")), WallClock.from_json(data))

    def __repr__(self) -> str:
        start = [f"start={self.start.isoformat()!r}"] if self.start else []
        return f"rrule({', '.join([repr(self.text), *start, *self.clock.arguments()])})"


@explained("write rrule('FREQ=WEEKLY;BYDAY=MO', start='2026-01-05T09:00')")
def rrule(
    text: str,
    /,
    *,
    start: datetime | str | None = None,
    tz: str | tzinfo | None = None,
    gap: Gap = "shift",
    fold: Fold = "first",
) -> RRule:
    """Create a trigger from a recurrence rule of RFC 5545, section 3.3.10.

    ``rrule("FREQ=MONTHLY;BYDAY=-1FR", start="2026-01-01T09:00", tz="Europe/Madrid")`` fires at
    09:00 on the last Friday of each month.

    Args:
        text: one RRULE, with or without the prefix ``RRULE:``. For exceptions and additional dates,
            use `Trigger.excluding` and `any_of`.
        start: DTSTART as a wall time in ``tz``, without a UTC offset; it supplies the time of day,
            the weekday and the day of the month that the rule does not specify. Default: the wall
            time at which the job is first stored.
        tz: IANA zone, as a name or a tzinfo; default: the scheduler's zone, filled in when the job
            is stored.
        gap: what to do with a wall time that a clock change skips: ``"shift"`` (default) moves it
            forward by the length of the gap, ``"skip"`` drops it, ``"first"`` moves it to the
            first instant after the gap.
        fold: which pass of a repeated wall time fires: ``"first"`` (default), ``"last"`` or
            ``"both"``.

    Raises:
        TriggerError: the rule is invalid, is not supported, or would never fire.
    """
    return RRule(text, _start(start), shared_clock(zone_name(tz), gap, fold))


def _start(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        start = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        start = None
    if not isinstance(start, datetime) or start.tzinfo is not None:
        raise TriggerError(
            f"start must be a wall time without a UTC offset, not {str(value)[:40]!r}"
        )
    return start.replace(microsecond=0, fold=0)
