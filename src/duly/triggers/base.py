"""What every trigger is: a pure value that answers "when next, after this instant?"."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.triggers.calendars.base import Calendar
from duly.triggers.due import Due
from duly.triggers.wallclock.clock import WallClock, local
from duly.triggers.wallclock.search import WallSearch

ReadChild = Callable[[Any], "Trigger"]
"""Turns the JSON of a trigger inside another trigger into that trigger."""


class WallPart(NamedTuple):
    """A pattern, and the wall clock on which a trigger fires by it."""

    pattern: WallSearch
    clock: WallClock


class Trigger(ABC):
    """A frozen value that says when something is to happen; it holds no state.

    Two triggers are equal when they were declared alike. Every instant is given and returned
    as an aware datetime; what is returned is in UTC.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """The name of this sort of trigger in JSON."""

    @abstractmethod
    def next_after(self, moment: datetime) -> datetime | None:
        """The first occurrence strictly after ``moment``, or ``None`` when there is none.

        Raises:
            NaiveDatetimeError: ``moment`` has no time zone.
        """

    @abstractmethod
    def describe(self) -> str:
        """English text, such as "at 09:00 on Monday to Friday, Europe/Madrid time"."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The declaration as JSON data; ``duly.triggers.decode`` reads it back."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: the JSON object, without its ``kind``.
            child: reads the JSON of a trigger inside this one.

        Raises:
            TriggerError: the data describes no trigger of this kind.
        """

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Trigger:
        """Fill in what the declaration left open; what it set is never overridden.

        Args:
            job_id: the job's id, for the ``H`` of a cron.
            tz: IANA zone for a wall-clock trigger that names none.
            anchor: starting instant for an interval that names none.
            calendars: named calendars for exclusions, by name.
        """
        return self

    def due(self, after: datetime, until: datetime, *, keep: int, limit: int = 10_000) -> Due:
        """The occurrences in ``(after, until]``.

        Args:
            after: excluded start.
            until: included end.
            keep: how many of the latest to return one by one.
            limit: give up after so many steps where only walking finds them.
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
        self, *calendars: Calendar | str, shift: str | None = None, tz: str | ZoneInfo | None = None
    ) -> Trigger:
        """This trigger without what calendars leave out.

        Args:
            *calendars: calendars, or names under which calendars are stored; what any of them
                leaves out is left out.
            shift: ``None`` (default) drops an occurrence that is left out;
                ``"next_working_day"`` moves it to the same wall time of the next day that is
                neither left out nor a day of rest.
            tz: whose days are meant, for a trigger that names no zone; default: the scheduler's.

        Raises:
            TriggerError: anything of this is wrong.
        """
        package: Any = sys.modules[__package__]  # what wraps a trigger is itself one
        wrapped: Trigger = package.Excluding.wrapping(self, calendars, shift, tz)
        return wrapped

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """The wall time in ``zone`` that an occurrence stands for, without the zone.

        Where a clock change moved the occurrence, that is the time before it was moved.
        """
        return local(fire, zone)

    def wall_parts(self) -> Iterable[WallPart]:
        """The patterns that clock changes touch; none for what matches real instants."""
        return ()

    @property
    def tz(self) -> str | None:
        """The zone whose wall clock is meant; ``None`` where none is, or until bound."""
        return None

    @property
    def crontab(self) -> str | None:
        """The crontab text with this meaning, or ``None`` where there is none."""
        return None

    @property
    def wall_clock(self) -> bool:
        """Whether the meaning depends on the rules of a time zone."""
        return False

    def __str__(self) -> str:
        return self.describe()
