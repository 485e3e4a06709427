"""The frequency language: schedules in JSON, as the users of an application write them.

====================  =============================================  =====================
``type``              keys                                           meaning
====================  =============================================  =====================
``daily``             ``time``                                       every day
``weekly``            ``time``, ``dayOfWeek`` (Sunday 0 or 7)        every listed day
``monthly``           ``time``, ``dayOfMonth``; ``monthEnd``         every listed day
``monthly``           ``time``, ``dayOfWeek``, ``weekOfMonth``       such as 2nd Tuesday
``hourly``            ``time``, of which only the minute counts      every real hour
``cron``              ``expression``, five fields                    see `cron`
``interval``          ``every_minutes`` (5 or more), ``anchor``      see `every`
``once``              ``at``                                         see `at`
====================  =============================================  =====================

Optional keys: ``timezone``; ``times`` instead of ``time``; ``months``; ``excludeDates``;
``startDate`` and ``endDate``, both included. In a month that lacks a listed day, its last day is
taken, unless ``monthEnd`` is ``"skip"``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.errors import FrequencyError, TriggerError
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.calendars.base import start_of
from duly.triggers.crontab.trigger import cron
from duly.triggers.due import Due
from duly.triggers.frequencies.days import crontab, describe, month_pattern
from duly.triggers.frequencies.fields import normalise
from duly.triggers.interval import every
from duly.triggers.json_data import check_keys
from duly.triggers.once import at
from duly.triggers.wallclock.clock import WallClock, local
from duly.triggers.wallclock.search import WallPattern, due, next_after, nominal_wall
from duly.triggers.wallclock.timeline import Timeline
from duly.triggers.wallclock.zones import load_zone

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OnWallClock:
    """A pattern on one wall clock, with the methods of a trigger."""

    pattern: WallPattern
    timeline: Timeline

    def next_after(self, moment: datetime) -> datetime | None:
        """See `duly.triggers.Trigger.next_after`."""
        return next_after(self.pattern, self.timeline, moment)

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `duly.triggers.Trigger.due`."""
        return due(self.pattern, self.timeline, after, until, keep)

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `duly.triggers.Trigger.wall_at`; ``zone`` must be the zone of the timeline."""
        return nominal_wall(self.pattern, self.timeline, fire)


@dataclass(frozen=True, slots=True, repr=False)
class Frequency(Trigger):
    """A schedule in the frequency language. Created by `frequency`.

    Attributes:
        text: the frequency as canonical JSON text.
    """

    kind: ClassVar[str] = "frequency"

    text: str
    _base: Trigger | OnWallClock = field(init=False, compare=False)
    _window: tuple[datetime, datetime] = field(init=False, compare=False)
    _excluded: frozenset[date] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        rule, set_field = self.rule, object.__setattr__
        set_field(self, "_base", _base(rule))
        set_field(self, "_window", _window(rule, self.zone))
        excluded = frozenset(date.fromisoformat(day) for day in rule.get("excludeDates", ()))
        set_field(self, "_excluded", excluded)

    @property
    def rule(self) -> dict[str, Any]:
        """The frequency as data, with sorted lists and an explicit zone."""
        rule: dict[str, Any] = json.loads(self.text)
        return rule

    @property
    def tz(self) -> str | None:
        """See `Trigger.tz`."""
        return str(self.rule["timezone"])

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its times and dates."""
        return load_zone(self.tz or "UTC")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about keys that may be misunderstood, one sentence each."""
        time = self.rule.get("time", "00:00")
        if self.rule["type"] == "hourly" and time[:2] != "00":
            return (f"time {time}: an hourly frequency uses only the minute, not hour {time[:2]}",)
        return ()

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        first, last = self._window
        fire = self._base.next_after(max(aware_utc(moment, "moment"), first))
        while fire is not None and fire <= last:
            day = local(fire, self.zone).date() if self._excluded else None
            if day not in self._excluded:
                return fire
            fire = self._base.next_after(start_of(day + _DAY, self.zone) - _TICK)
        return None

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `Trigger.due`."""
        if self._excluded:
            return Trigger.due(self, after, until, keep=keep, limit=limit)  # slots break super()
        first, last = self._window
        return self._base.due(max(after, first), min(until, last), keep=keep, limit=limit)

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`."""
        return self._base.wall_at(fire, zone) if zone is self.zone else local(fire, zone)

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        if isinstance(self._base, OnWallClock):
            return (WallPart(self._base.pattern, WallClock(self.tz)),)
        return self._base.wall_parts()

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Frequency:
        """See `Trigger.bind`; an interval uses the anchor."""
        rule = self.rule
        if rule["type"] != "interval" or "anchor" in rule or anchor is None:
            return self
        return Frequency(_canonical({**rule, "anchor": aware_utc(anchor, "anchor").isoformat()}))

    @property
    def crontab(self) -> str | None:
        """See `Trigger.crontab`; ``None`` for "the 30th or the last day", for example."""
        rule = self.rule
        if rule.keys() & {"startDate", "endDate", "excludeDates"}:
            return None
        if rule["type"] == "cron":
            return str(rule["expression"])
        return None if rule["type"] in ("interval", "once") else crontab(rule)

    @property
    def wall_clock(self) -> bool:
        """Whether it depends on the zone; intervals and single instants without dates do not."""
        rule = self.rule
        days = rule.keys() & {"startDate", "endDate", "excludeDates"}
        return bool(days) or rule["type"] not in ("interval", "once")

    def describe(self) -> str:
        """See `Trigger.describe`."""
        rule = self.rule
        if isinstance(self._base, OnWallClock) or rule["type"] == "hourly":
            text = describe(rule) + WallClock(self.tz).in_words()
        else:
            text = self._base.describe()
        if "startDate" in rule:
            text += f", from {rule['startDate']}"
        if "endDate" in rule:
            text += f", until {rule['endDate']}"
        if self._excluded:
            count = len(self._excluded)
            text += f", except on {rule['excludeDates'][0] if count == 1 else f'{count} days'}"
        return text

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        return {"kind": self.kind, "rule": self.rule}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("rule",))
        if not isinstance(data["rule"], dict):
            raise TriggerError("'rule' of trigger 'frequency' must be an object")
        return cls(_canonical(normalise(data["rule"])))

    def __repr__(self) -> str:
        return f"frequency({self.rule!r})"


@explained("give one mapping, as in frequency({'type': 'daily', 'time': '10:00'})")
def frequency(rule: Mapping[str, Any]) -> Frequency:
    """Create a trigger from a schedule as the users of an application write it.

    ``type`` is ``daily``, ``weekly``, ``monthly``, ``hourly``, ``cron``, ``interval`` or ``once``;
    the other keys depend on it.

    Args:
        rule: the schedule, such as ``{"type": "weekly", "time": "10:00", "dayOfWeek": [1, 3, 5],
            "timezone": "Europe/Madrid"}``. The default of ``timezone`` is
            ``America/Los_Angeles``.

    Raises:
        FrequencyError: a key is unknown, missing or invalid, or the schedule would never fire; its
            ``field`` names the key.
    """
    if not isinstance(rule, Mapping):
        raise FrequencyError("frequency", f"must be an object, not {str(rule)[:40]!r}")
    trigger = Frequency(_canonical(normalise(rule)))
    if trigger.next_after(datetime.min.replace(tzinfo=UTC) + 3 * _DAY) is None:
        raise FrequencyError("type", f"{rule['type']!r} with these keys would never fire")
    return trigger


def _canonical(rule: Mapping[str, Any]) -> str:
    return json.dumps(rule, separators=(",", ":"), sort_keys=True)


def _base(rule: Mapping[str, Any]) -> Trigger | OnWallClock:
    """Return the trigger before its first and last day and its excluded days are applied."""
    clock = WallClock(rule["timezone"])
    match rule["type"]:
        case "cron":
            return cron(rule["expression"], tz=clock.tz)
        case "hourly":
            return cron(crontab(rule), tz=clock.tz)
        case "interval":
            anchor = datetime.fromisoformat(rule["anchor"]) if "anchor" in rule else None
            return every(minutes=rule["every_minutes"], anchor=anchor)
        case "once":
            return at(datetime.fromisoformat(rule["at"]))
    return OnWallClock(month_pattern(rule), clock.timeline)


def _window(rule: Mapping[str, Any], zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instant just before the first day, and the last instant of the last day."""
    start, end = datetime.min.replace(tzinfo=UTC) + 2 * _DAY, _FOREVER
    if "startDate" in rule:
        start = max(start, start_of(date.fromisoformat(rule["startDate"]), zone) - _TICK)
    if "endDate" in rule and rule["endDate"] < "9999-12-31":
        end = start_of(date.fromisoformat(rule["endDate"]) + _DAY, zone) - _TICK
    return start, end
