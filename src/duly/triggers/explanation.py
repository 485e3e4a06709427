"""Explain a trigger to a person: a description, the next occurrences, and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from duly.clock import aware_utc
from duly.triggers.base import Trigger
from duly.triggers.excluding import Excluding
from duly.triggers.linting import lint
from duly.triggers.wallclock.clock import local
from duly.triggers.wallclock.zones import load_zone, zone_name

_MAX_FIRES = 1000


@dataclass(frozen=True, slots=True)
class Fire:
    """One occurrence.

    Attributes:
        instant: the instant, in UTC.
        local: the same instant in the trigger's zone.
        marks: ``"gap"`` if a clock change shifted it, ``"fold"`` if its wall time occurs twice that
            day, ``"excluded"`` if a calendar excludes it, and ``"moved"`` if it then moves to a
            later day.
        note: the marks in words, or ``""``.
    """

    instant: datetime
    local: datetime
    marks: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of `explain`. Its ``str`` is a multi-line text for a terminal.

    Attributes:
        text: the description of the trigger in English.
        crontab: the equivalent crontab expression, or ``None``.
        tz: the zone of the local times.
        fires: the next occurrences, including those that a calendar excludes.
        warnings: possible surprises, one sentence each; see ``lint``.
    """

    text: str
    crontab: str | None
    tz: str
    fires: tuple[Fire, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [self.text]
        for fire in self.fires:
            note = f"   {fire.note}" if fire.note else ""
            lines.append(
                f"  {fire.local:%a %Y-%m-%d %H:%M:%S %z} = {fire.instant:%Y-%m-%d %H:%M:%S}Z{note}"
            )
        if not any("excluded" not in fire.marks for fire in self.fires):
            lines.append("  never fires again")
        return "\n".join([*lines, *(f"! {warning}" for warning in self.warnings)])


def explain(
    trigger: Trigger, moment: datetime, count: int = 10, *, tz: str | ZoneInfo | None = None
) -> Explanation:
    """Explain a trigger in English, with its next occurrences and with warnings.

    Args:
        trigger: the trigger.
        moment: an aware datetime; the occurrences strictly after it are listed.
        count: the number of occurrences to list, at most 1,000; default 10.
        tz: the zone of the local times for a trigger without one, to which the trigger is then
            bound; default UTC.

    Raises:
        NaiveDatetimeError: ``moment`` has no time zone.
        TriggerError: the zone is unknown, or the search for an occurrence reached its limit.
    """
    moment = aware_utc(moment, "moment")
    trigger = trigger.bind(tz=zone_name(tz))
    zone = load_zone(trigger.tz or zone_name(tz) or "UTC")
    fires: list[Fire] = []
    after: datetime | None = moment
    while after is not None and len(fires) < min(count, _MAX_FIRES):
        after = trigger.next_after(after)
        if after is not None:
            fires.append(_fire(trigger, after, zone))
    if isinstance(trigger, Excluding):
        last = fires[-1].instant if fires else None
        fires += _excluded(trigger, moment, last, min(2 * count + 10, _MAX_FIRES))
        fires.sort(key=lambda fire: fire.instant)
    return Explanation(
        trigger.describe(), trigger.crontab, zone.key, tuple(fires), lint(trigger, moment)
    )


def _fire(trigger: Trigger, instant: datetime, zone: ZoneInfo) -> Fire:
    here = instant.astimezone(zone)
    wall, nominal = local(instant, zone), trigger.wall_at(instant, zone)
    if nominal != wall:
        note = f"gap: {_clock(nominal)} does not exist on {nominal:%Y-%m-%d}"
        return Fire(instant, here, ("gap",), note)
    if _is_repeated(wall, zone):
        which = "second" if here.fold else "first"
        return Fire(instant, here, ("fold",), f"fold: the {which} {_clock(wall)} of that day")
    return Fire(instant, here)


def _excluded(
    trigger: Excluding, moment: datetime, last: datetime | None, limit: int
) -> Iterator[Fire]:
    """Yield the occurrences after ``moment`` and before ``last`` that the calendar excludes."""
    zone, after = trigger.zone, moment
    for _ in range(limit):
        fire = trigger.trigger.next_after(after)
        while fire is not None and trigger.target(fire) == fire and (last is None or fire < last):
            fire = trigger.trigger.next_after(fire)
        if fire is None or (last is not None and fire >= last):
            return
        target = trigger.target(fire)
        if target is None:
            yield Fire(fire, fire.astimezone(zone), ("excluded",), "excluded")
        else:
            note = f"moved to {target.astimezone(zone):%Y-%m-%d %H:%M}"
            yield Fire(fire, fire.astimezone(zone), ("excluded", "moved"), note)
        after = fire


def _clock(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}".removesuffix(":00")


def _is_repeated(wall: datetime, zone: ZoneInfo) -> bool:
    """Return whether a wall time occurs twice in a zone."""
    first = wall.replace(tzinfo=zone, fold=0).utcoffset()
    second = wall.replace(tzinfo=zone, fold=1).utcoffset()
    return first is not None and second is not None and first > second
