"""Fires when the wall clock matches a cron expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.errors import CronError, TriggerError, UnknownOption
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.crontab.describe import describe_cron
from duly.triggers.crontab.text import CronFields, read_cron
from duly.triggers.due import Due
from duly.triggers.json_data import check_keys
from duly.triggers.wallclock.clock import ANY_CLOCK, CLOCK_KEYS, WallClock, local, shared_clock
from duly.triggers.wallclock.day_times import DayTimes
from duly.triggers.wallclock.month_pattern import MonthPattern
from duly.triggers.wallclock.search import due, next_after, nominal_wall
from duly.triggers.wallclock.timeline import Timeline
from duly.triggers.wallclock.zones import zone_name

_NAMES = ("second", "minute", "hour", "day", "month", "day_of_week")
_ORDER = ("second", "minute", "hour", "day_of_week", "day", "month")
"""From fine to coarse: what is finer than the finest named field starts at its beginning."""

_START = {"second": "0", "minute": "0", "hour": "0"}


@dataclass(frozen=True, slots=True, repr=False)
class Cron(Trigger):
    """A cron expression on a wall clock. Made by `cron`.

    Attributes:
        expression: five or six fields, one space between them.
        clock: the wall clock that is meant.
        job_id: what ``H`` is hashed from; ``None`` until bound (then as the empty id).
    """

    kind: ClassVar[str] = "cron"

    expression: str
    clock: WallClock = ANY_CLOCK
    job_id: str | None = None
    _search: tuple[MonthPattern, Timeline] | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        text = self.expression
        if not isinstance(text, str):
            raise CronError("a cron is text", expression=repr(text), text=repr(text), position=0)
        object.__setattr__(self, "expression", read_cron(text, self.job_id or "").expression)

    def _prepare(self) -> tuple[MonthPattern, Timeline]:
        """What the search needs; made when first used, since many crons are only stored."""
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
        """What the fields of the expression hold."""
        return read_cron(self.expression, self.job_id or "")

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        wall, timeline = self._search or self._prepare()
        return next_after(wall, timeline, moment)

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """See `Trigger.due`. Counts by arithmetic, so the limit is never reached."""
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
        """See `Trigger.bind`; takes the zone, and the job's id where there is an ``H``."""
        hashed = self.job_id is None and "H" in self.expression
        bound = Cron(self.expression, self.clock.bound(tz), job_id if hashed else self.job_id)
        return self if bound == self else bound

    @property
    def crontab(self) -> str | None:
        """The expression."""
        return self.expression

    @property
    def wall_clock(self) -> bool:
        """Always true: even ``*/5 * * * *`` counts the minutes of its zone."""
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
                raise TriggerError(f"{name} of a cron must be text, not {str(value)[:60]!r}")
        return cls(data["expression"], WallClock.from_json(data), data.get("job_id"))

    def __repr__(self) -> str:
        shown = [repr(self.expression), *self.clock.arguments()]
        if self.job_id is not None:
            return f"cron({', '.join(shown)}).bind(job_id={self.job_id!r})"
        return f"cron({', '.join(shown)})"


def cron(
    expression: str | None = None,
    /,
    *,
    tz: str | ZoneInfo | None = None,
    gap: str = "shift",
    fold: str = "first",
    **fields: int | str,
) -> Cron:
    """A trigger on the wall clock, from a crontab text or from named fields.

    ``cron("0 9 * * 1-5", tz="Europe/Madrid")`` and
    ``cron(hour=9, day_of_week="mon-fri", tz="Europe/Madrid")`` fire alike. Among named fields,
    those finer than the finest one given are at their start, the others run over everything.

    Args:
        expression: five fields, or six with seconds in front, or ``@daily`` and its like.
        tz: IANA zone; default: the scheduler's zone, filled in when the job is stored.
        gap: what becomes of a wall time that a clock change leaves out: ``"shift"`` (default)
            moves it forward by the length of the gap, ``"skip"``, or ``"first"``.
        fold: which of two equal wall times fires: ``"first"`` (default), ``"last"``, ``"both"``.
        **fields: ``second``, ``minute``, ``hour``, ``day``, ``month``, ``day_of_week``, instead
            of the text. Weekdays go by name.

    Raises:
        CronError: the expression cannot be read, or can never fire.
        TriggerError: unknown zone, policy or field.
    """
    if expression is None:
        expression = _text_of_fields(fields)
    elif fields:
        raise TriggerError("cron takes either a text or named fields, not both")
    return Cron(expression, shared_clock(zone_name(tz), gap, fold))


def _text_of_fields(fields: Mapping[str, object]) -> str:
    """The cron text that named fields mean.

    Raises:
        UnknownOption: there is no such field.
        TriggerError: no field is named, a value is neither a number nor text, or a weekday is a
            number.
    """
    for name in fields:
        if name not in _NAMES:
            raise UnknownOption(name, _NAMES, "of cron")
    texts = {
        name: _text_of_field(name, value) for name, value in fields.items() if value is not None
    }
    if not texts:
        raise TriggerError("cron needs a text such as '0 9 * * mon-fri', or named fields")
    finest = min(_ORDER.index(name) for name in texts)
    for index, name in enumerate(_ORDER):
        texts.setdefault(name, _START.get(name, "*") if index < finest else "*")
    if texts["second"] == "0":
        del texts["second"]
    return " ".join(texts[name] for name in _NAMES if name in texts)


def _text_of_field(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TriggerError(f"cron({name}=…) takes a number or text, not {value!r}")
    text = str(value)
    if name == "day_of_week" and re.match(r"[0-9]|.*[,-][0-9]", text):
        raise TriggerError(
            f"cron(day_of_week={value!r}) could mean two things: crontab counts from Sunday = 0, "
            "APScheduler from Monday = 0; name the days, as in day_of_week='mon-fri'"
        )
    if not text or " " in text or "\t" in text:
        raise TriggerError(f"cron({name}={value!r}) must be one field without spaces")
    return text


@lru_cache(maxsize=1024)
def _cron_pattern(text: str, job_id: str) -> MonthPattern:
    """The wall-clock times of a cron text; the same object for the same text."""
    fields = read_cron(text, job_id)
    return MonthPattern(_day_times(fields), fields.months, fields.masks)


def _day_times(fields: CronFields) -> DayTimes:
    return DayTimes(_minutes_of_day(fields.hours, fields.minutes), fields.seconds)


@lru_cache(maxsize=256)
def _minutes_of_day(hours: tuple[int, ...], minutes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(hour * 60 + minute for hour in hours for minute in minutes)
