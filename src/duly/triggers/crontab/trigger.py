"""The cron trigger: fires when the wall clock matches a cron expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, ClassVar, Self, TypedDict, Unpack
from zoneinfo import ZoneInfo

from duly.errors import CronError, TriggerError, UnknownOption
from duly.foreign_names import TRIGGER_OPTIONS
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.crontab.describe import describe_cron
from duly.triggers.crontab.text import CronFields, read_cron
from duly.triggers.due import Due
from duly.triggers.json_data import check_keys
from duly.triggers.wallclock.clock import (
    ANY_CLOCK,
    CLOCK_KEYS,
    Fold,
    Gap,
    WallClock,
    local,
    shared_clock,
)
from duly.triggers.wallclock.day_times import DayTimes
from duly.triggers.wallclock.month_pattern import MonthPattern
from duly.triggers.wallclock.search import due, next_after, nominal_wall
from duly.triggers.wallclock.timeline import Timeline
from duly.triggers.wallclock.zones import zone_name

_NAMES = ("second", "minute", "hour", "day", "month", "day_of_week")
_ORDER = ("second", "minute", "hour", "day_of_week", "day", "month")
"""From fine to coarse: fields finer than the finest named one take their lowest value."""

_START = {"second": "0", "minute": "0", "hour": "0"}


class NamedFields(TypedDict, total=False):
    """The fields of a cron as keyword arguments: numbers, or the text of a field."""

    second: int | str
    minute: int | str
    hour: int | str
    day: int | str
    month: int | str
    day_of_week: str


@dataclass(frozen=True, slots=True, repr=False)
class Cron(Trigger):
    """A cron expression on a wall clock. Created by `cron`.

    Attributes:
        expression: five or six fields, separated by single spaces.
        clock: the wall clock on which the expression is matched.
        job_id: the id that ``H`` is hashed from; ``None`` until bound, which counts as empty.
    """

    kind: ClassVar[str] = "cron"

    expression: str
    clock: WallClock = ANY_CLOCK
    job_id: str | None = None
    _search: tuple[MonthPattern, Timeline] | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        text: object = self.expression
        if not isinstance(text, str):
            problem = f"a cron expression must be a string, not {type(text).__name__}"
            raise CronError(problem, expression=repr(text), text=repr(text), position=0)
        object.__setattr__(self, "expression", read_cron(text, self.job_id or "").expression)

    def _prepare(self) -> tuple[MonthPattern, Timeline]:
        """Build the pattern and the timeline on first use; many expressions are only stored."""
        real = self.fields.interval_like
        timeline = self.clock.real_timeline if real else self.clock.timeline
        search = _cron_pattern(self.expression, self.job_id or ""), timeline
        object.__setattr__(self, "_search", search)
        return search

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        return () if self.fields.interval_like else (WallPart(self._prepare()[0], self.clock),)

    @property
    def tz(self) -> str | None:
        """See `Trigger.tz`."""
        return self.clock.tz

    @property
    def fields(self) -> CronFields:
        """The fields of the expression."""
        return read_cron(self.expression, self.job_id or "")

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        wall, timeline = self._search or self._prepare()
        return next_after(wall, timeline, moment)

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `Trigger.due`; counts by arithmetic, so it never reaches the limit."""
        wall, timeline = self._search or self._prepare()
        return due(wall, timeline, after, until, keep)

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`."""
        own = zone is self.clock.zone
        return nominal_wall(*self._prepare(), fire) if own else local(fire, zone)

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Cron:
        """See `Trigger.bind`; uses the zone, and the job's id if the expression contains ``H``."""
        hashed = self.job_id is None and "H" in self.expression
        bound = Cron(self.expression, self.clock.bound(tz), job_id if hashed else self.job_id)
        return self if bound == self else bound

    @property
    def crontab(self) -> str | None:
        """The expression."""
        return self.expression

    @property
    def wall_clock(self) -> bool:
        """Always true: even ``*/5 * * * *`` counts the minutes of a zone's clock."""
        return True

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return describe_cron(self.fields) + self.clock.in_words()

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        data = {"kind": self.kind, "expression": self.expression, **self.clock.to_json()}
        return data if self.job_id is None else {**data, "job_id": self.job_id}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("expression",), optional=(*CLOCK_KEYS, "job_id"))
        for name, value in data.items():
            if not isinstance(value, str):
                raise TriggerError(f"{name!r} of a cron must be a string, not {str(value)[:60]!r}")
        return cls(data["expression"], WallClock.from_json(data), data.get("job_id"))

    def __repr__(self) -> str:
        source = f"cron({', '.join([repr(self.expression), *self.clock.arguments()])})"
        return source if self.job_id is None else f"{source}.bind(job_id={self.job_id!r})"


@explained("write cron('0 9 * * mon-fri'), or name the fields: cron(hour=9, day_of_week='mon-fri')")
def cron(
    expression: str | None = None,
    /,
    *,
    tz: str | tzinfo | None = None,
    gap: Gap = "shift",
    fold: Fold = "first",
    **fields: Unpack[NamedFields],
) -> Cron:
    """Create a wall-clock trigger from a cron expression or from named fields.

    ``cron("0 9 * * 1-5", tz="Europe/Madrid")`` and
    ``cron(hour=9, day_of_week="mon-fri", tz="Europe/Madrid")`` are equivalent. Of the fields that
    are not named, those finer than the finest named one take their lowest value; the others match
    every value.

    The dialect is that of Vixie cron: when day-of-month and day-of-week are both restricted, a day
    matches if either does. ``L``, ``W`` and ``#`` are taken from Quartz, ``H`` from Jenkins.

    Args:
        expression: five fields, six with seconds first, or a keyword such as ``@daily``.
        tz: IANA zone, as a name or a tzinfo; default: the scheduler's zone, filled in when the job
            is stored.
        gap: what to do with a wall time that a clock change skips: ``"shift"`` (default) moves it
            forward by the length of the gap, ``"skip"`` drops it, ``"first"`` moves it to the
            first instant after the gap.
        fold: which pass of a repeated wall time fires: ``"first"`` (default), ``"last"`` or
            ``"both"``.
        **fields: ``second``, ``minute``, ``hour``, ``day``, ``month`` and ``day_of_week``, given
            instead of the expression, each as a number or as the text of a field. Weekdays are
            given by name, because crontab and APScheduler number them differently.

    Raises:
        CronError: the expression is invalid, or would never fire.
        TriggerError: the zone, a policy or the value of a named field is invalid.
        UnknownOption: a named field does not exist.
    """
    for name in fields:
        if name not in _NAMES:
            raise UnknownOption(name, _NAMES, "of cron()", TRIGGER_OPTIONS)
    if expression is None:
        expression = _text_of_fields(fields)
    elif fields:
        raise TriggerError("cron() takes either an expression or named fields, not both")
    return Cron(expression, shared_clock(zone_name(tz), gap, fold))


def _text_of_fields(fields: Mapping[str, object]) -> str:
    """Return the expression that named fields stand for.

    Raises:
        TriggerError: no field is named, a value is neither a number nor a string, or a weekday is
            given by number.
    """
    texts = {
        name: _text_of_field(name, value) for name, value in fields.items() if value is not None
    }
    if not texts:
        raise TriggerError(
            "cron() needs an expression such as '0 9 * * mon-fri', or named fields such as hour=9"
        )
    finest = min(_ORDER.index(name) for name in texts)
    for index, name in enumerate(_ORDER):
        texts.setdefault(name, _START.get(name, "*") if index < finest else "*")
    if texts["second"] == "0":
        del texts["second"]
    return " ".join(texts[name] for name in _NAMES if name in texts)


def _text_of_field(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TriggerError(f"cron({name}=…) must be an integer or a string, not {value!r}")
    text = str(value)
    if name == "day_of_week" and re.match(r"[0-9]|.*[,-][0-9]", text):
        raise TriggerError(
            f"cron(day_of_week={value!r}) is ambiguous: crontab counts from Sunday = 0, "
            "APScheduler from Monday = 0; use names instead, as in day_of_week='mon-fri'"
        )
    if name == "day" and text.lower().startswith("last"):
        raise TriggerError(
            f"cron(day={value!r}) is not valid; write day='L' for the last day of the month, "
            "day='LW' for its last working day, or day_of_week='friL' for its last Friday"
        )
    if not text or " " in text or "\t" in text:
        raise TriggerError(f"cron({name}={value!r}) must be a single field without spaces")
    return text


@lru_cache(maxsize=1024)
def _cron_pattern(text: str, job_id: str) -> MonthPattern:
    """Return the wall-clock pattern of an expression. Cached: equal arguments share one object."""
    fields = read_cron(text, job_id)
    times = DayTimes(_minutes_of_day(fields.hours, fields.minutes), fields.seconds)
    return MonthPattern(times, fields.months, fields.masks)


@lru_cache(maxsize=256)
def _minutes_of_day(hours: tuple[int, ...], minutes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(hour * 60 + minute for hour in hours for minute in minutes)
