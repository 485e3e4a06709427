"""Triggers made of other triggers: any of them, or all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from duly.errors import TriggerError
from duly.triggers.base import ReadChild, Trigger, WallPart
from duly.triggers.json_data import check_keys
from duly.triggers.wallclock.clock import local
from duly.triggers.wallclock.seconds import EPOCH

_MOST = 50
_STEPS = 10_000
"""Times that `AllOf` asks its parts before it gives up."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, repr=False)
class _Combined(Trigger):
    """What the two have in common.

    Attributes:
        parts: the triggers.
    """

    parts: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.parts) <= _MOST:
            raise TriggerError(f"{self.kind}(…) takes 2 to {_MOST} triggers")
        for part in self.parts:
            if not isinstance(part, Trigger):
                raise TriggerError(f"{self.kind}(…) takes triggers, not {part!r}")

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
        """This trigger; raises where it can be seen that it never fires."""
        return self

    def wall_at(self, fire: datetime, zone: ZoneInfo) -> datetime:
        """See `Trigger.wall_at`; the first part that fires then says."""
        for part in self.parts:
            if part.next_after(fire - _TICK) == fire:
                return part.wall_at(fire, zone)
        return local(fire, zone)

    def wall_parts(self) -> Iterable[WallPart]:
        """See `Trigger.wall_parts`."""
        return [wall for part in self.parts for wall in part.wall_parts()]

    @property
    def tz(self) -> str | None:
        """The zone of the parts, where they all name the same."""
        zones = {part.tz for part in self.parts}
        return zones.pop() if len(zones) == 1 else None

    @property
    def wall_clock(self) -> bool:
        """Whether any part depends on a zone."""
        return any(part.wall_clock for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        return {"kind": self.kind, "triggers": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("triggers",))
        inner = data["triggers"]
        if not isinstance(inner, list) or len(inner) > _MOST:
            raise TriggerError(f"triggers of {cls.kind!r} must be a list of 2 to {_MOST}")
        return cls(tuple(child(part) for part in inner))

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.parts))})"


@dataclass(frozen=True, slots=True, repr=False)
class AnyOf(_Combined):
    """Fires when any of its parts does; equal instants collapse. Made by `any_of`."""

    kind: ClassVar[str] = "any_of"

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        found = (part.next_after(moment) for part in self.parts)
        return min((fire for fire in found if fire is not None), default=None)

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return "; or ".join(part.describe() for part in self.parts)


@dataclass(frozen=True, slots=True, repr=False)
class AllOf(_Combined):
    """Fires at the instants that all its parts share. Made by `all_of`."""

    kind: ClassVar[str] = "all_of"

    def next_after(self, moment: datetime) -> datetime | None:
        """See `Trigger.next_after`.

        Raises:
            TriggerError: no shared instant was found within the bounds of the search.
        """
        for _ in range(_STEPS):
            latest = moment
            fires = [part.next_after(moment) for part in self.parts]
            for fire in fires:
                if fire is None:
                    return None
                latest = max(latest, fire)
            if all(fire == latest for fire in fires):
                return latest
            moment = latest - _TICK
        raise TriggerError(
            f"these triggers share no instant up to {moment:%Y-%m-%d}, {_STEPS} steps ahead: "
            f"{self.describe()[:300]}"
        )

    def _checked(self) -> Self:
        self.next_after(EPOCH)
        return self

    def describe(self) -> str:
        """See `Trigger.describe`."""
        return "; and at once ".join(part.describe() for part in self.parts)


def any_of(*triggers: Trigger) -> AnyOf:
    """A trigger that fires whenever any of the given ones does.

    Args:
        *triggers: 2 to 50 triggers.

    Raises:
        TriggerError: too few, too many, or not triggers.
    """
    return AnyOf(triggers)


def all_of(*triggers: Trigger) -> AllOf:
    """A trigger that fires at the instants that all the given ones share.

    The search for a shared instant is bounded. Triggers that share none from the year 1970 on are
    refused at once.

    Args:
        *triggers: 2 to 50 triggers.

    Raises:
        TriggerError: they never fire at the same instant, or too few, too many, no triggers.
    """
    return AllOf(triggers)._checked()
