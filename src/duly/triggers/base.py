"""The interface of every trigger: a pure value that answers "when does it fire next?"."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any, ClassVar, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.triggers.calendars.base import Calendar
from duly.triggers.due import Due
from duly.triggers.wallclock.clock import WallClock, local
from duly.triggers.wallclock.search import WallSearch

Shift = Literal["next_working_day"]

ReadChild = Callable[[Any], "Trigger"]
"""Reads the JSON data of a trigger that is nested in another trigger."""


class WallPart(NamedTuple):
    """A wall-clock pattern of a trigger.

    Attributes:
        pattern: the wall times at which the trigger fires.
        clock: the wall clock on which they are read.
    """

    pattern: WallSearch
    clock: WallClock


class Trigger(ABC):
    """A frozen value that determines when a job fires. It holds no state.

    Two triggers are equal if they were declared with equal arguments. Instants are aware
    datetimes: any zone is accepted, and UTC is returned.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """The name of this kind of trigger in JSON."""

    @abstractmethod
    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first occurrence strictly after ``moment``, or ``None`` if there is none.

        Raises:
            NaiveDatetimeError: ``moment`` has no time zone.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return an English description: "at 09:00 on Monday to Friday, Europe/Madrid time"."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the declaration as JSON data, which ``duly.triggers.decode`` reads back."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """Create a trigger from the data that `to_json` returned.

        Args:
            data: the JSON object, without its ``kind``.
            child: reads a trigger nested in this one.

        Raises:
            TriggerError: the data is not a valid trigger of this kind.
        """

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Trigger:
        """Return this trigger with the values filled in that its declaration left open.

        Values that the declaration sets are never overridden.

        Args:
            job_id: the job's id, from which the ``H`` of a cron is hashed.
            tz: IANA zone for wall-clock triggers without one.
            anchor: starting instant for intervals without one.
            calendars: the stored calendars by name, for exclusions.

        Raises:
            TriggerError: a named calendar does not exist, or the bound trigger would never fire.
        """
        return self

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """Return the occurrences in ``(after, until]``.

        Args:
            after: the start of the period, excluded.
            until: the end of the period, included.
            keep: the number of latest occurrences to return individually.
            limit: the number of occurrences after which the search stops, for triggers that can
                only be searched one by one.

        Raises:
            NaiveDatetimeError: ``after`` or ``until`` has no time zone.
        """
        until = aware_utc(until, "until")
        first = last = None
        count = 0
        newest: deque[datetime] = deque(maxlen=max(keep, 0))
        moment: datetime | None = after
        while moment is not None and (moment := self.next_after(moment)) is not None:
            if moment > until:
                break
            if count == limit:
                return Due(count, first, last, tuple(newest), False)
            first = first or moment
            last = moment
            newest.append(moment)
            count += 1
        return Due(count, first, last, tuple(newest), True)

    def excluding(
        self,
        *calendars: Calendar | str,
        shift: Shift | None = None,
        tz: str | tzinfo | None = None,
    ) -> Trigger:
        """Return this trigger without the times that calendars exclude.

        Args:
            *calendars: calendars, or the names of stored calendars; a time is excluded if any of
                them excludes it.
            shift: ``None`` (default) drops an excluded occurrence; ``"next_working_day"`` moves it
                to the same wall time of the next day that is neither excluded nor a rest day.
            tz: the zone that determines the calendar day, for a trigger without a zone; default:
                the scheduler's zone.

        Raises:
            TriggerError: no calendar is given, or an argument is invalid.
        """
        package: Any = sys.modules[__package__]  # importing a subclass here would be a circle
        wrapped: Trigger = package.Excluding.wrapping(self, calendars, shift, tz)
        return wrapped

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """Return the nominal wall time of an occurrence in ``zone``, as a naive datetime.

        If a clock change shifted the occurrence, this is its time before the shift.

        Args:
            fire: an occurrence of this trigger.
            zone: the zone whose wall clock is read.
        """
        return local(fire, zone)

    def wall_parts(self) -> Iterable[WallPart]:
        """Return the patterns that clock changes affect; none for triggers on real instants."""
        return ()

    @property
    def tz(self) -> str | None:
        """The IANA zone of the wall clock; ``None`` if the trigger has none or is not bound yet."""
        return None

    @property
    def crontab(self) -> str | None:
        """The equivalent crontab expression, or ``None`` if there is none."""
        return None

    @property
    def wall_clock(self) -> bool:
        """Whether the occurrences depend on the rules of a time zone."""
        return False

    @property
    def bounds(self) -> tuple[int, int]:
        """The depth to which triggers are nested in this one, and their number; (1, 1) for one."""
        return 1, 1

    def __str__(self) -> str:
        return self.describe()
