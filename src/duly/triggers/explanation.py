"""Explains a trigger to a person: words, the next occurrences, and what may surprise."""

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

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Fire:
    """One occurrence.

    Attributes:
        instant: when, in UTC.
        local: the same in the trigger's zone.
        marks: ``"gap"``: a clock change moved it; ``"fold"``: its wall time comes twice that day;
            ``"excluded"``: a calendar leaves it out; ``"moved"``: and it happens later instead.
        note: the marks in words, or ``""``.
    """

    instant: datetime
    local: datetime
    marks: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` found. Printed, it is text for a terminal.

    Attributes:
        text: the trigger in English.
        crontab: its crontab text, or ``None``.
        tz: the zone of the local times.
        fires: the next occurrences, with those that a calendar leaves out among them.
        warnings: what may surprise, one sentence each.
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
    """Explain a trigger.

    Args:
        trigger: the trigger.
        moment: from when on, aware; occurrences strictly after it are listed.
        count: how many occurrences to list, at most 1000.
        tz: the zone of the local times, for a trigger that names none; default UTC. A cron
            without a zone is read in it.

    Raises:
        NaiveDatetimeError: ``moment`` has no time zone.
        TriggerError: unknown zone, or the trigger cannot be searched.
    """
    moment = aware_utc(moment, "moment")
    trigger = trigger.bind(tz=zone_name(tz))
    zone = load_zone(trigger.tz or zone_name(tz) or "UTC")
    fires: list[Fire] = []
    after: datetime | None = moment
    while after is not None and len(fires) < min(count, _MOST):
        after = trigger.next_after(after)
        if after is not None:
            fires.append(_fire(trigger, after, zone))
    if isinstance(trigger, Excluding):
        last = fires[-1].instant if fires else None
        fires += _left_out(trigger, moment, last, min(2 * count + 10, _MOST))
        fires.sort(key=lambda fire: fire.instant)
    return Explanation(
        trigger.describe(), trigger.crontab, zone.key, tuple(fires), lint(trigger, moment)
    )


def _fire(trigger: Trigger, instant: datetime, zone: ZoneInfo) -> Fire:
    shown = instant.astimezone(zone)
    wall, nominal = local(instant, zone), trigger.wall_at(instant, zone)
    if nominal != wall:
        note = f"gap: {_clock(nominal)} does not exist on {nominal:%Y-%m-%d}"
        return Fire(instant, shown, ("gap",), note)
    if _is_repeated(wall, zone):
        which = "second" if shown.fold else "first"
        return Fire(instant, shown, ("fold",), f"fold: the {which} {_clock(wall)} of that day")
    return Fire(instant, shown)


def _left_out(
    trigger: Excluding, moment: datetime, last: datetime | None, most: int
) -> Iterator[Fire]:
    """Occurrences after ``moment`` and before ``last`` that the calendar leaves out."""
    zone, after = trigger.zone, moment
    for _ in range(most):
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
    """Whether a wall time comes twice in that zone."""
    first = wall.replace(tzinfo=zone, fold=0).utcoffset()
    second = wall.replace(tzinfo=zone, fold=1).utcoffset()
    return first is not None and second is not None and first > second
