"""The wall clock of a trigger: its zone, and its policies for clock changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

from duly.errors import TriggerError
from duly.triggers.wallclock.timeline import Timeline, timeline
from duly.triggers.wallclock.zones import load_zone, zone_name

Gap = Literal["shift", "skip", "first"]
Fold = Literal["first", "last", "both"]
_GAPS: tuple[Gap, ...] = get_args(Gap)
_FOLDS: tuple[Fold, ...] = get_args(Fold)
CLOCK_KEYS = ("tz", "gap", "fold")


@dataclass(frozen=True, slots=True)
class WallClock:
    """The wall clock of a zone, with the two policies for clock changes (rule R3 and rule R4).

    Attributes:
        tz: IANA zone; ``None`` until bound, which counts as UTC.
        gap: what to do with a wall time that a clock change skips: ``"shift"`` (default) moves it
            forward by the length of the gap, ``"skip"`` drops it, ``"first"`` moves it to the
            first instant after the gap.
        fold: which pass of a repeated wall time counts: ``"first"`` (default), ``"last"`` or
            ``"both"``.

    Raises:
        TriggerError: the zone or a policy is unknown.
    """

    tz: str | None = None
    gap: Gap = "shift"
    fold: Fold = "first"

    def __post_init__(self) -> None:
        if self.gap not in _GAPS:
            raise TriggerError(f"gap must be one of {', '.join(_GAPS)}, not {self.gap!r}")
        if self.fold not in _FOLDS:
            raise TriggerError(f"fold must be one of {', '.join(_FOLDS)}, not {self.fold!r}")
        object.__setattr__(self, "tz", zone_name(self.tz))

    @property
    def zone(self) -> ZoneInfo:
        """The zone; UTC if none is set."""
        return load_zone(self.tz or "UTC")

    @property
    def timeline(self) -> Timeline:
        """The mapping of this wall clock to instants."""
        return timeline(self.tz or "UTC", self.gap, self.fold)

    @property
    def real_timeline(self) -> Timeline:
        """The mapping for triggers on real instants, which fire in both passes of a fold."""
        return timeline(self.tz or "UTC", "skip", "both")

    def in_words(self) -> str:
        """Return the end of a description: ", Europe/Madrid time"; empty if no zone is set."""
        if self.tz is None:
            return ""
        return ", UTC" if self.tz == "UTC" else f", {self.tz} time"

    def bound(self, tz: str | None) -> Self:
        """Return this clock with its own zone, or else with zone ``tz``."""
        return self if self.tz or tz is None else replace(self, tz=tz)

    def to_json(self) -> dict[str, str]:
        """Return the attributes that differ from the defaults."""
        values = {"tz": self.tz, "gap": self.gap, "fold": self.fold}
        defaults = {"tz": None, "gap": "shift", "fold": "first"}
        return {key: value for key, value in values.items() if value and value != defaults[key]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Create a wall clock from the keys that `to_json` wrote; other keys are ignored.

        Raises:
            TriggerError: the zone or a policy is unknown.
        """
        return cls(**{key: data[key] for key in CLOCK_KEYS if key in data})

    def arguments(self) -> list[str]:
        """Return the keyword arguments of this clock as Python source."""
        return [f"{key}={value!r}" for key, value in self.to_json().items()]


@lru_cache(maxsize=1024)
def shared_clock(tz: str | None, gap: Gap, fold: Fold) -> WallClock:
    """Return the wall clock. Cached, because thousands of jobs share a few.

    Raises:
        TriggerError: the zone or a policy is unknown.
    """
    return WallClock(tz, gap, fold)


ANY_CLOCK = WallClock()
"""A wall clock without a zone, with the default policies."""


def local(moment: datetime, zone: tzinfo) -> datetime:
    """Return the wall time of a zone at an instant, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None)


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant of a wall time: shifted out of a gap, the first pass of a fold."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
