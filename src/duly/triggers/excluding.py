"""The trigger with exclusions: excluded times are dropped or moved to a later day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Self, get_args
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.errors import TriggerError
from duly.triggers.base import ReadChild, Shift, Trigger, WallPart
from duly.triggers.budget import check_bounds, search
from duly.triggers.calendars.base import Calendar, Named, Union, start_of
from duly.triggers.calendars.codec import calendar_from_json, encode_calendar
from duly.triggers.json_data import check_keys
from duly.triggers.wallclock.clock import instant, local
from duly.triggers.wallclock.zones import load_zone, zone_name

_SHIFTS = (None, *get_args(Shift))
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_FIRST = datetime(2, 1, 1, tzinfo=UTC)
"""The first instant that is searched, so that days can be counted back from it."""

_MAX_STEPS = 10_000
"""The number of occurrences after which the search stops; ten times as many if they are moved."""

_MAX_DAYS = 366
"""The number of days within which a working day must be found."""


@dataclass(frozen=True, slots=True, repr=False)
class Excluding(Trigger):
    """A trigger without the times that a calendar excludes. Created by `Trigger.excluding`.

    Attributes:
        trigger: the trigger.
        calendar: the times to exclude.
        shift: ``None`` (default) drops an excluded occurrence; ``"next_working_day"`` moves it to
            the same wall time of the next day that is neither excluded nor a rest day. Rest days
            are those that the calendar defines, otherwise Saturday and Sunday.
        days_of: the zone that determines the calendar day if the trigger has none; ``None`` until
            bound.
    """

    kind: ClassVar[str] = "excluding"

    trigger: Trigger
    calendar: Calendar
    shift: Shift | None = None
    days_of: str | None = None

    def __post_init__(self) -> None:
        if self.shift not in _SHIFTS:
            raise TriggerError(f"shift must be None or 'next_working_day', not {self.shift!r}")
        zone_name(self.days_of)
        _ = self.bounds

    @property
    def bounds(self) -> tuple[int, int]:
        """See `Trigger.bounds`."""
        depth, size = self.trigger.bounds
        return check_bounds("excluding()", [depth], [size])

    @property
    def tz(self) -> str | None:
        """See `Trigger.tz`."""
        return self.trigger.tz or self.days_of

    @property
    def zone(self) -> ZoneInfo:
        """The zone that determines the calendar day."""
        return load_zone(self.tz or "UTC")

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`.

        Raises:
            TriggerError: the search reached its limit because the calendar excludes every
                occurrence, or the calendar is named and the trigger is not bound.
        """
        moment = max(aware_utc(moment, "moment"), _FIRST)
        try:
            with search():
                return self._next_moved(moment) if self.shift else self._next_kept(moment)
        except OverflowError:
            return None  # past the year 9999

    def _next_kept(self, moment: datetime) -> datetime | None:
        """Return the next occurrence if excluded ones are dropped."""
        zone = self.zone
        for _ in range(_MAX_STEPS):
            fire = self.trigger.next_after(moment)
            if fire is None:
                return None
            end = self.calendar.blocked_until(fire, zone)
            if end is None:
                return fire
            moment = end - _TICK
        raise TriggerError(
            f"every occurrence until {moment:%Y-%m-%d} is excluded: {self.describe()}"
        )

    def _next_moved(self, moment: datetime) -> datetime | None:
        """Return the next occurrence if excluded ones are moved.

        It may originate on any day since the last working day. The occurrences of one day keep
        their order when they are moved, unless the clock changes or only part of a day is
        excluded, so most of them need not be examined.
        """
        zone = self.zone
        wall = local(moment, zone)
        best: datetime | None = None
        after = start_of(self._since(wall.date()), zone) - _TICK
        for _ in range(10 * _MAX_STEPS):
            fire = self.trigger.next_after(after)
            if fire is None or (best is not None and fire >= best):
                return best
            target = self.target(fire) or fire
            day = local(fire, zone).date()
            if target > moment:
                best = target if best is None else min(best, target)
                if target == fire:
                    return best
                ordered = self._keeps_order(day) and self._keeps_order(local(target, zone).date())
                after = start_of(day + _DAY, zone) - _TICK if ordered else fire
            elif target == fire:
                clear = not self.calendar.touches(day, zone)
                end = min(start_of(day + _DAY, zone) - _TICK, moment)
                after = max(fire, end) if clear else fire
            else:
                ordered = self._keeps_order(day) and self._keeps_order(wall.date())
                same_time = instant(datetime.combine(day, wall.time()), zone)
                after = max(fire, same_time) if ordered else fire
        raise TriggerError(f"no occurrence was found until {after:%Y-%m-%d}: {self.describe()}")

    def target(self, fire: datetime) -> datetime | None:
        """Return the instant to which an occurrence moves: its own, a later one, or ``None``.

        Args:
            fire: an occurrence of ``trigger``.
        """
        if self.calendar.blocked_until(fire, self.zone) is None:
            return fire
        return self._next_working_day(fire) if self.shift else None

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`."""
        if self.trigger.next_after(fire - _TICK) == fire:
            return self.trigger.wall_at(fire, zone)
        return local(fire, zone)

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        return self.trigger.wall_parts()

    def _next_working_day(self, fire: datetime) -> datetime:
        """Return the same wall time on the next working day."""
        zone = self.zone
        wall = self.trigger.wall_at(fire, zone)
        for _ in range(_MAX_DAYS):
            wall += _DAY
            target = instant(wall, zone)
            if (
                not self._is_rest_day(wall.date())
                and self.calendar.blocked_until(target, zone) is None
            ):
                return target
        raise TriggerError(
            f"no working day within {_MAX_DAYS} days after {fire:%Y-%m-%d}: {self.calendar}"
        )

    def _since(self, day: date) -> date:
        """Return the earliest day whose occurrences may move to ``day`` or later."""
        for _ in range(_MAX_DAYS):
            before = day - _DAY
            if not self._is_rest_day(before) and not self.calendar.touches(before, self.zone):
                return day
            day = before
        raise TriggerError(f"no working day within {_MAX_DAYS} days before {day}: {self.calendar}")

    def _is_rest_day(self, day: date) -> bool:
        return day.weekday() in (self.calendar.rest_days() or (5, 6))

    def _keeps_order(self, day: date) -> bool:
        """Return whether occurrences that move from or to that day keep their order."""
        if not self.calendar.whole_days:
            return False
        zone = self.zone
        start, end = start_of(day, zone), start_of(day + _DAY, zone)
        return end - start == _DAY

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Excluding:
        """See `Trigger.bind`; replaces named calendars by their current versions.

        Raises:
            TriggerError: ``calendars`` is given and lacks a named calendar.
        """
        trigger = self.trigger.bind(job_id=job_id, tz=tz, anchor=anchor, calendars=calendars)
        calendar = self.calendar if calendars is None else self.calendar.resolved(calendars)
        days_of = self.days_of or (tz if trigger.tz is None else None)
        return Excluding(trigger, calendar, self.shift, days_of)

    @property
    def wall_clock(self) -> bool:
        """Always true: the calendar day depends on the zone."""
        return True

    def describe(self) -> str:
        """See `Trigger.describe`."""
        if self.shift:
            return f"{self.trigger.describe()}; moved to the next working day on {self.calendar}"
        return f"{self.trigger.describe()}; except {self.calendar}"

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        data = {
            "kind": self.kind,
            "trigger": self.trigger.to_json(),
            "calendar": self.calendar.to_json(),
        }
        if self.shift:
            data["shift"] = self.shift
        return {**data, "days_of": self.days_of} if self.days_of else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        required, optional = ("trigger", "calendar"), ("shift", "days_of")
        check_keys(cls.kind, data, required=required, optional=optional)
        calendar = calendar_from_json(data["calendar"])
        return cls(child(data["trigger"]), calendar, data.get("shift"), data.get("days_of"))

    def __repr__(self) -> str:
        arguments = [repr(self.calendar)]
        arguments += [f"shift={self.shift!r}"] if self.shift else []
        arguments += [f"tz={self.days_of!r}"] if self.days_of else []
        return f"{self.trigger!r}.excluding({', '.join(arguments)})"

    @classmethod
    def wrapping(
        cls,
        trigger: Trigger,
        calendars: tuple[Calendar | str, ...],
        shift: Shift | None = None,
        tz: str | tzinfo | None = None,
    ) -> Self:
        """See `Trigger.excluding`."""
        parts = tuple(Named(part) if isinstance(part, str) else part for part in calendars)
        if not parts or not all(isinstance(part, Calendar) for part in parts):
            raise TriggerError(
                "excluding() takes one or more calendars, such as weekends() or holidays('ES'), or "
                "the names of stored calendars"
            )
        calendar = parts[0] if len(parts) == 1 else Union(parts)
        encode_calendar(calendar)
        return cls(trigger, calendar, shift, zone_name(tz))
