"""Calendars: what a trigger leaves out.

A calendar is a value, as a trigger is: it holds no state, and can be stored as JSON under a name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Self

from duly.errors import TriggerError, did_you_mean
from duly.triggers.json_data import check_keys
from duly.triggers.wallclock.clock import instant, local

_DAY = timedelta(days=1)

ReadCalendar = Callable[[Any], "Calendar"]
"""Turns the JSON of a calendar inside another one into that calendar."""


class Calendar(ABC):
    """A frozen value that says which days or instants are left out."""

    __slots__ = ()

    kind: ClassVar[str]
    """The name of this sort of calendar in JSON."""

    @abstractmethod
    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """``None`` when ``moment`` is not left out; otherwise a later instant up to which all is.

        Args:
            moment: an instant in UTC.
            zone: whose days are meant.
        """

    @abstractmethod
    def touches(self, day: date, zone: tzinfo) -> bool:
        """Whether any instant of that day is left out."""

    @property
    @abstractmethod
    def whole_days(self) -> bool:
        """Whether only whole days are left out."""

    @abstractmethod
    def describe(self) -> str:
        """What is left out, in English, such as "weekends"."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The calendar as JSON data."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """Read what `to_json` wrote.

        Raises:
            TriggerError: the data describes no calendar of this kind.
        """

    def rest_days(self) -> frozenset[int]:
        """Weekdays (Monday = 0) on which nobody works, as far as this calendar knows."""
        return frozenset()

    def named(self, calendars: Mapping[str, Calendar]) -> Calendar:
        """This calendar, with the names in it looked up."""
        return self

    def __str__(self) -> str:
        return self.describe()


class DayCalendar(Calendar):
    """A calendar of whole days."""

    __slots__ = ()

    @abstractmethod
    def covers(self, day: date) -> bool:
        """Whether that day is left out."""

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        day = local(moment, zone).date()
        if not self.covers(day):
            return None
        return start_of(day + _DAY, zone) if day < date.max else moment + _DAY

    def touches(self, day: date, zone: tzinfo) -> bool:
        """See `Calendar.touches`."""
        return self.covers(day)

    @property
    def whole_days(self) -> bool:
        """See `Calendar.whole_days`."""
        return True


@dataclass(frozen=True, slots=True)
class Union(Calendar):
    """Everything that any of several calendars leaves out. Made by `union`.

    Attributes:
        parts: the calendars.
    """

    kind: ClassVar[str] = "union"

    parts: tuple[Calendar, ...]

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        ends = (part.blocked_until(moment, zone) for part in self.parts)
        return max((end for end in ends if end is not None), default=None)

    def touches(self, day: date, zone: tzinfo) -> bool:
        """See `Calendar.touches`."""
        return any(part.touches(day, zone) for part in self.parts)

    @property
    def whole_days(self) -> bool:
        """See `Calendar.whole_days`."""
        return all(part.whole_days for part in self.parts)

    def rest_days(self) -> frozenset[int]:
        """See `Calendar.rest_days`."""
        return frozenset().union(*(part.rest_days() for part in self.parts))

    def named(self, calendars: Mapping[str, Calendar]) -> Calendar:
        """See `Calendar.named`."""
        return Union(tuple(part.named(calendars) for part in self.parts))

    def describe(self) -> str:
        """See `Calendar.describe`."""
        return " and ".join(part.describe() for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        return {"kind": self.kind, "calendars": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, required=("calendars",))
        parts = data["calendars"]
        if not isinstance(parts, list) or not 0 < len(parts) <= 50:
            raise TriggerError("calendars of calendar 'union' must be a list of 1 to 50")
        return cls(tuple(child(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Named(Calendar):
    """A calendar that is stored under a name.

    Attributes:
        name: the name.
        calendar: what was stored under it when the job was bound; ``None`` before. Binding again
            takes what is stored by then.
    """

    kind: ClassVar[str] = "named"

    name: str
    calendar: Calendar | None = None

    def __post_init__(self) -> None:
        if type(self.name) is not str or not 0 < len(self.name) <= 200:
            raise TriggerError("the name of a calendar has 1 to 200 characters")

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        return self._known().blocked_until(moment, zone)

    def touches(self, day: date, zone: tzinfo) -> bool:
        """See `Calendar.touches`."""
        return self._known().touches(day, zone)

    @property
    def whole_days(self) -> bool:
        """See `Calendar.whole_days`."""
        return self._known().whole_days

    def rest_days(self) -> frozenset[int]:
        """See `Calendar.rest_days`."""
        return self._known().rest_days()

    def named(self, calendars: Mapping[str, Calendar]) -> Calendar:
        """See `Calendar.named`.

        Raises:
            TriggerError: the name is not among them, nor has it been looked up before.
        """
        if self.name not in calendars and self.calendar is None:
            hint = did_you_mean(self.name, calendars)
            raise TriggerError(f"no calendar is stored under the name {self.name!r}{hint}")
        return Named(self.name, calendars.get(self.name, self.calendar))

    def describe(self) -> str:
        """See `Calendar.describe`."""
        return f"calendar {self.name!r}"

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        data: dict[str, Any] = {"kind": self.kind, "name": self.name}
        return data if self.calendar is None else {**data, "calendar": self.calendar.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, required=("name",), optional=("calendar",))
        return cls(data["name"], child(data["calendar"]) if "calendar" in data else None)

    def _known(self) -> Calendar:
        if self.calendar is None:
            raise TriggerError(
                f"the calendar named {self.name!r} has not been looked up: bind first"
            )
        return self.calendar


def union(*calendars: Calendar) -> Union:
    """A calendar of everything that any of the given ones leaves out.

    Args:
        *calendars: 1 to 50 calendars.
    """
    return Union(calendars)


def start_of(day: date, zone: tzinfo) -> datetime:
    """The first instant of a day."""
    return instant(datetime.combine(day, datetime.min.time()), zone)
