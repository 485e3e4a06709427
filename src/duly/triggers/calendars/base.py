"""The interface of calendars, which exclude times from a trigger.

A calendar is a value, as a trigger is: it holds no state and can be stored as JSON under a name.
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
_MAX_PARTS = 50
_MAX_DEPTH = 10

ReadCalendar = Callable[[Any], "Calendar"]
"""Reads the JSON data of a calendar that is nested in another calendar."""


class Calendar(ABC):
    """A frozen value that determines which days or times of day are excluded."""

    __slots__ = ()

    kind: ClassVar[str]
    """The name of this kind of calendar in JSON."""

    @abstractmethod
    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """Return the end of the exclusion that covers ``moment``, or ``None`` if none does.

        Every instant from ``moment`` to the returned one, which is later, is excluded.

        Args:
            moment: an instant in UTC.
            zone: the zone that determines the calendar day.
        """

    @abstractmethod
    def touches(self, day: date, zone: tzinfo) -> bool:
        """Return whether any instant of a day is excluded.

        Args:
            day: the day.
            zone: the zone that determines when it starts and ends.
        """

    @property
    @abstractmethod
    def whole_days(self) -> bool:
        """Whether the calendar excludes whole days only."""

    @abstractmethod
    def describe(self) -> str:
        """Return an English description of the excluded times, such as "weekends"."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the calendar as JSON data."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """Create a calendar from the data that `to_json` returned.

        Args:
            data: the JSON object, without its ``kind``.
            child: reads a calendar nested in this one.

        Raises:
            TriggerError: the data is not a valid calendar of this kind.
        """

    def rest_days(self) -> frozenset[int]:
        """Return the weekly rest days (Monday = 0) that this calendar defines, if any."""
        return frozenset()

    def resolved(self, calendars: Mapping[str, Calendar]) -> Calendar:
        """Return this calendar with every named calendar in it resolved.

        Args:
            calendars: the stored calendars by name.
        """
        return self

    @property
    def depth(self) -> int:
        """How deep calendars are nested in this one; 1 for one alone."""
        return 1

    def __str__(self) -> str:
        return self.describe()


class DayCalendar(Calendar):
    """A calendar of whole days."""

    __slots__ = ()

    @abstractmethod
    def covers(self, day: date) -> bool:
        """Return whether a day is excluded."""

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
    """Everything that any of several calendars excludes. Created by `union`.

    Attributes:
        parts: the calendars, 1 to 50.
    """

    kind: ClassVar[str] = "union"

    parts: tuple[Calendar, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.parts) <= _MAX_PARTS:
            raise TriggerError(f"union() takes 1 to {_MAX_PARTS} calendars, not {len(self.parts)}")
        for part in self.parts:
            if not isinstance(part, Calendar):
                raise TriggerError(f"union() takes calendars, not {str(part)[:60]!r}")
        if self.depth > _MAX_DEPTH:
            raise TriggerError(
                f"union() is nested more than {_MAX_DEPTH} deep; give it all its calendars at once"
            )

    @property
    def depth(self) -> int:
        """See `Calendar.depth`."""
        return 1 + max(part.depth for part in self.parts)

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

    def resolved(self, calendars: Mapping[str, Calendar]) -> Calendar:
        """See `Calendar.resolved`."""
        return Union(tuple(part.resolved(calendars) for part in self.parts))

    def describe(self) -> str:
        """See `Calendar.describe`."""
        return " and ".join(part.describe() for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """See `Calendar.to_json`."""
        return {"kind": self.kind, "calendars": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadCalendar) -> Self:
        """See `Calendar.from_json`."""
        check_keys(cls.kind, data, noun="calendar", required=("calendars",))
        parts = data["calendars"]
        if not isinstance(parts, list) or len(parts) > _MAX_PARTS:
            raise TriggerError(
                f"'calendars' of calendar 'union' must be a list of 1 to {_MAX_PARTS}"
            )
        return cls(tuple(child(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Named(Calendar):
    """A reference to a calendar that is stored under a name.

    Attributes:
        name: the name, 1 to 200 characters.
        calendar: the calendar that was stored under the name when the trigger was bound; ``None``
            before. Binding again replaces it by the current version.
    """

    kind: ClassVar[str] = "named"

    name: str
    calendar: Calendar | None = None

    def __post_init__(self) -> None:
        if type(self.name) is not str or not 0 < len(self.name) <= 200:
            raise TriggerError("the name of a calendar must have 1 to 200 characters")

    def blocked_until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """See `Calendar.blocked_until`."""
        return self._resolved().blocked_until(moment, zone)

    def touches(self, day: date, zone: tzinfo) -> bool:
        """See `Calendar.touches`."""
        return self._resolved().touches(day, zone)

    @property
    def whole_days(self) -> bool:
        """See `Calendar.whole_days`."""
        return self._resolved().whole_days

    def rest_days(self) -> frozenset[int]:
        """See `Calendar.rest_days`."""
        return self._resolved().rest_days()

    def resolved(self, calendars: Mapping[str, Calendar]) -> Calendar:
        """See `Calendar.resolved`.

        Raises:
            TriggerError: no calendar is stored under the name, and none was resolved before.
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
        check_keys(cls.kind, data, noun="calendar", required=("name",), optional=("calendar",))
        return cls(data["name"], child(data["calendar"]) if "calendar" in data else None)

    def _resolved(self) -> Calendar:
        if self.calendar is None:
            raise TriggerError(f"calendar {self.name!r} is not resolved; bind the trigger first")
        return self.calendar


def union(*calendars: Calendar) -> Union:
    """Create a calendar that excludes everything that any of the given calendars excludes.

    Args:
        *calendars: 1 to 50 calendars.

    Raises:
        TriggerError: the number of calendars is out of range, or an argument is not a calendar.
    """
    return Union(calendars)


def start_of(day: date, zone: tzinfo) -> datetime:
    """Return the first instant of a day in a zone."""
    return instant(datetime.combine(day, datetime.min.time()), zone)
