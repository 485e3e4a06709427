"""The triggers that combine others: any of them, or all of them at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.errors import TriggerError
from duly.misuse import explained
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.budget import check_bounds, search
from duly.triggers.json_data import check_keys
from duly.triggers.wallclock.clock import local
from duly.triggers.wallclock.seconds import EPOCH

_MAX_PARTS = 50
_TICK = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
_CYCLE = timedelta(days=146_097)
"""400 years, after which dates and weekdays repeat: what meets once meets within them."""


@dataclass(frozen=True, slots=True, repr=False)
class _Combined(Trigger):
    """The common part of `AnyOf` and `AllOf`.

    Attributes:
        parts: the combined triggers, 2 to 50.
    """

    parts: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        if len(self.parts) == 1 and isinstance(self.parts[0], Iterable):
            raise TriggerError(
                f"{self.kind}() takes the triggers one by one: {self.kind}(a, b), or "
                f"{self.kind}(*triggers) for a list of them"
            )
        if not 2 <= len(self.parts) <= _MAX_PARTS:
            raise TriggerError(
                f"{self.kind}() takes 2 to {_MAX_PARTS} triggers, not {len(self.parts)}"
            )
        for part in self.parts:
            if not isinstance(part, Trigger):
                raise TriggerError(
                    f"{self.kind}() takes triggers, such as cron('0 9 * * *') or every(hours=1), "
                    f"not {part!r}"
                )
        _ = self.bounds

    @property
    def bounds(self) -> tuple[int, int]:
        """See `Trigger.bounds`."""
        depths, sizes = zip(*(part.bounds for part in self.parts), strict=True)
        return check_bounds(f"{self.kind}()", depths, sizes)

    def bind(
        self,
        *,
        job_id: str | None = None,
        tz: str | None = None,
        anchor: datetime | None = None,
        calendars: Mapping[str, Any] | None = None,
    ) -> Self:
        """See `Trigger.bind`; binds every part."""
        parts = tuple(
            part.bind(job_id=job_id, tz=tz, anchor=anchor, calendars=calendars)
            for part in self.parts
        )
        return self if parts == self.parts else type(self)(parts)._checked()

    def _checked(self) -> Self:
        """Return this trigger, or raise if it would never fire."""
        return self

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`; the first part that fires at that instant determines it."""
        for part in self.parts:
            if part.next_after(fire - _TICK) == fire:
                return part.wall_at(fire, zone)
        return local(fire, zone)

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        return [wall for part in self.parts for wall in part.wall_parts()]

    @property
    def tz(self) -> str | None:
        """The zone of the parts, if they all have the same one."""
        zones = {part.tz for part in self.parts}
        return zones.pop() if len(zones) == 1 else None

    @property
    def wall_clock(self) -> bool:
        """Whether any part depends on the rules of a time zone."""
        return any(part.wall_clock for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        return {"kind": self.kind, "triggers": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("triggers",))
        inner = data["triggers"]
        if not isinstance(inner, list) or len(inner) > _MAX_PARTS:
            raise TriggerError(f"'triggers' of {cls.kind!r} must be a list of 2 to {_MAX_PARTS}")
        return cls(tuple(child(part) for part in inner))

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.parts))})"


@dataclass(frozen=True, slots=True, repr=False)
class AnyOf(_Combined):
    """Fires whenever any of its parts does; equal instants count once. Created by `any_of`."""

    kind: ClassVar[str] = "any_of"

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        with search() as steps:
            steps[0] -= len(self.parts)
            found = [part.next_after(moment) for part in self.parts]
        return min((fire for fire in found if fire is not None), default=None)

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return "; or ".join(part.describe() for part in self.parts)


@dataclass(frozen=True, slots=True, repr=False)
class AllOf(_Combined):
    """Fires at the instants that all its parts share. Created by `all_of`."""

    kind: ClassVar[str] = "all_of"

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`.

        Raises:
            TriggerError: the search reached its limit without finding a shared instant.
        """
        with search() as steps:
            agreed, start = 0, moment + _TICK if moment < _LAST else moment
            latest = start
            for part in itertools.cycle(self.parts):
                if steps[0] <= 0 or latest - start > _CYCLE:
                    break
                steps[0] -= 1
                fire = part.next_after(latest - _TICK)
                if fire is None:
                    return None
                agreed, latest = (agreed + 1, latest) if fire == latest else (1, fire)
                if agreed == len(self.parts):
                    return latest
        raise TriggerError(
            f"these triggers share no instant up to {latest:%Y-%m-%d}, where the search stopped: "
            f"{self.describe()[:300]}"
        )

    def _checked(self) -> Self:
        self.next_after(EPOCH)
        return self

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return "; and at the same instant ".join(part.describe() for part in self.parts)


@explained("give the triggers one by one: any_of(a, b)")
def any_of(*triggers: Trigger) -> AnyOf:
    """Create a trigger that fires whenever any of the given triggers does.

    Args:
        *triggers: 2 to 50 triggers.

    Raises:
        TriggerError: the number of triggers is out of range, or an argument is not a trigger.
    """
    return AnyOf(triggers)


@explained("give the triggers one by one: all_of(a, b)")
def all_of(*triggers: Trigger) -> AllOf:
    """Create a trigger that fires at the instants that all the given triggers share.

    The search for a shared instant is limited to 400 years and to 10,000 steps, each of which asks
    one trigger for its next fire. Triggers for which it finds none from 1970 on are rejected at
    once.

    Args:
        *triggers: 2 to 50 triggers.

    Raises:
        TriggerError: the triggers share no instant, their number is out of range, or an argument
            is not a trigger.
    """
    return AllOf(triggers)._checked()
