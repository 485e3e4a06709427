"""Whose wall clock a trigger means, and what a clock change does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfo

from duly.errors import TriggerError
from duly.triggers.wallclock.timeline import Timeline, timeline
from duly.triggers.wallclock.zones import load_zone, zone_name

GAP_POLICIES = ("shift", "skip", "first")
FOLD_POLICIES = ("first", "last", "both")
CLOCK_KEYS = ("tz", "gap", "fold")


@dataclass(frozen=True, slots=True)
class WallClock:
    """A zone's wall clock, with the two policies for the days on which it is changed.

    Attributes:
        tz: IANA zone, or ``None`` until bound (then UTC is meant).
        gap: for a wall time that a clock change leaves out: ``"shift"`` moves it forward by the
            length of the gap, ``"skip"`` drops it, ``"first"`` takes the first instant after.
        fold: for a wall time that comes twice: ``"first"``, ``"last"`` or ``"both"``.

    Raises:
        TriggerError: unknown zone or policy.
    """

    tz: str | None = None
    gap: str = "shift"
    fold: str = "first"

    def __post_init__(self) -> None:
        if self.gap not in GAP_POLICIES:
            raise TriggerError(f"gap must be one of {', '.join(GAP_POLICIES)}, not {self.gap!r}")
        if self.fold not in FOLD_POLICIES:
            raise TriggerError(f"fold must be one of {', '.join(FOLD_POLICIES)}, not {self.fold!r}")
        object.__setattr__(self, "tz", zone_name(self.tz))

    @property
    def zone(self) -> ZoneInfo:
        """The zone; UTC when none is set."""
        return load_zone(self.tz or "UTC")

    @property
    def timeline(self) -> Timeline:
        """How this wall clock maps to instants."""
        return timeline(self.tz or "UTC", self.gap, self.fold)

    @property
    def real_timeline(self) -> Timeline:
        """The same for triggers that match real instants: no gap to fill, both passes count."""
        return timeline(self.tz or "UTC", "skip", "both")

    def in_words(self) -> str:
        """What to append to a description: ", Europe/Madrid time"."""
        if self.tz is None:
            return ""
        return ", UTC" if self.tz == "UTC" else f", {self.tz} time"

    def bound(self, tz: str | None) -> Self:
        """This clock, in zone ``tz`` if it names none itself."""
        return self if self.tz or tz is None else replace(self, tz=tz)

    def to_json(self) -> dict[str, str]:
        """What differs from the defaults."""
        values = {"tz": self.tz, "gap": self.gap, "fold": self.fold}
        defaults = {"tz": None, "gap": "shift", "fold": "first"}
        return {key: value for key, value in values.items() if value and value != defaults[key]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, among other keys.

        Raises:
            TriggerError: unknown zone or policy.
        """
        return cls(**{key: data[key] for key in CLOCK_KEYS if key in data})

    def arguments(self) -> list[str]:
        """The keyword arguments that make it, as Python."""
        return [f"{key}={value!r}" for key, value in self.to_json().items()]


@lru_cache(maxsize=1024)
def shared_clock(tz: str | None, gap: str, fold: str) -> WallClock:
    """The wall clock; the same object for the same question, as thousands of jobs share few.

    Raises:
        TriggerError: unknown zone or policy.
    """
    return WallClock(tz, gap, fold)


ANY_CLOCK = WallClock()
"""No zone named yet, usual policies."""


def local(moment: datetime, zone: tzinfo) -> datetime:
    """What a clock in the zone shows at that instant, without the zone."""
    return moment.astimezone(zone).replace(tzinfo=None)


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall time: shifted forward out of a gap, the first of two."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
