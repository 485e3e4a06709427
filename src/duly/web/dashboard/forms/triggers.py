"""The trigger of a job as a form shows it, and what was typed as a trigger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from duly.errors import DulyError, TriggerError
from duly.triggers import (
    After,
    At,
    Calendar,
    CalendarInterval,
    Cron,
    Every,
    Excluding,
    RRule,
    Trigger,
    calendar,
    cron,
    decode,
    every,
    parse_trigger,
    rrule,
    weekends,
)
from duly.triggers.calendars.base import Named, Union
from duly.triggers.json_data import read_instant
from duly.triggers.times_of_day import format_time
from duly.triggers.wallclock.zones import zone_name
from duly.web.dashboard.forms.texts import Texts, first

KINDS = {
    "cron": "Cron",
    "every": "Interval",
    "calendar": "Calendar",
    "at": "Once",
    "rrule": "RRULE",
    "after": "After other jobs",
    "text": "Text or JSON",
}
"""The ways to write a trigger, and their labels."""

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}
_MAIN = {
    "cron": "cron",
    "every": "every",
    "calendar": "times",
    "at": "instant",
    "rrule": "rule",
    "after": "parents",
    "text": "text",
}
"""The input that an error belongs to, unless it is about another one."""

_BLANK = {
    "kind": "cron", "cron": "", "every": "", "unit": "minutes", "anchor": "", "count": "1",
    "days": "days", "times": "", "start": "", "missing": "clamp", "instant": "", "rule": "",
    "rule_start": "", "on": "success", "text": "", "tz": "", "gap": "shift", "fold": "first",
    "shift": "",
}  # fmt: skip


class TriggerProblem(Exception):
    """What was typed is not a trigger.

    Attributes:
        name: the name of the input.
    """

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(f"{problem[:1].upper()}{problem[1:]}")
        self.name = f"trigger.{part}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trigger is used.

    Attributes:
        job_id: the id of the job.
        zone: the zone of a trigger that names none.
        calendars: the stored calendars.
    """

    job_id: str
    zone: ZoneInfo
    calendars: Mapping[str, Calendar]

    def bound(self, trigger: Trigger, anchor: datetime | None = None) -> Trigger:
        """Return a trigger as it would be stored.

        Raises:
            TriggerError: it excludes a calendar that is not stored.
        """
        return trigger.bind(
            job_id=self.job_id, tz=self.zone.key, anchor=anchor, calendars=self.calendars
        )


def trigger_texts(trigger: Trigger | None, place: Place) -> dict[str, list[str]]:
    """Return the texts that the inputs start with.

    A trigger that the inputs cannot show exactly is shown as JSON.

    Args:
        trigger: the stored trigger; ``None``: there is none yet.
        place: where it is used.
    """
    if trigger is None:
        return _named({})
    try:
        texts = _named(_parts(trigger, place.zone))
        if place.bound(read_trigger(texts, place)) == place.bound(trigger):
            return texts
    except (DulyError, TriggerProblem):
        pass
    definition = json.dumps(trigger.to_json(), indent=2, ensure_ascii=False)
    return _named({"kind": "text", "text": definition})


def read_trigger(typed: Texts, place: Place) -> Trigger:
    """Return the trigger that was typed.

    Raises:
        TriggerProblem: it is not valid.
    """
    kind = first(typed, "trigger.kind")
    if kind not in KINDS:
        raise TriggerProblem("kind", "choose how the trigger is written")
    tz = first(typed, "trigger.tz").strip() or None
    try:
        zone_name(tz)
    except TriggerError as error:
        raise TriggerProblem("tz", f"{error}") from error
    try:
        trigger = _READERS[kind](typed, tz, place.zone)
    except TriggerProblem:
        raise
    except (DulyError, ValueError) as error:
        raise TriggerProblem(_part_of(kind, str(error)), f"{error}") from error
    try:
        return trigger if kind == "after" else _excluding(trigger, typed, tz)
    except DulyError as error:
        raise TriggerProblem("exclude", f"{error}") from error


def _named(parts: Mapping[str, Any]) -> dict[str, list[str]]:
    texts = {f"trigger.{name}": [str(text)] for name, text in {**_BLANK, **parts}.items()}
    return texts | {
        f"trigger.{name}": list(parts.get(name, ())) for name in ("parents", "exclude", "weekends")
    }


def _parts(trigger: Trigger, zone: ZoneInfo) -> dict[str, Any]:
    """Return the texts of the inputs for a trigger; they may not show all of it."""
    if isinstance(trigger, Excluding):
        parts = _parts(trigger.trigger, zone)
        given = trigger.calendar
        calendars = given.parts if isinstance(given, Union) else (given,)
        names = [part.name for part in calendars if isinstance(part, Named)]
        weekend = ["true"] if weekends() in calendars else []
        days_of = {"tz": trigger.days_of} if trigger.days_of else {}
        return {**parts, "exclude": names, "weekends": weekend, "shift": trigger.shift or "",
                **days_of}  # fmt: skip
    if isinstance(trigger, Every):
        return _interval(trigger)
    if isinstance(trigger, At):
        local = trigger.instant.astimezone(zone).replace(tzinfo=None)
        return {"kind": "at", "instant": local.isoformat()}
    if isinstance(trigger, After) and not trigger.each:
        return {"kind": "after", "parents": trigger.parents, "on": trigger.on}
    if not isinstance(trigger, Cron | CalendarInterval | RRule):
        return {}
    clock = {"tz": trigger.tz or "", "gap": trigger.clock.gap, "fold": trigger.clock.fold}
    if isinstance(trigger, Cron):
        return {"kind": "cron", "cron": trigger.expression, **clock}
    if isinstance(trigger, RRule):
        start = trigger.start.isoformat() if trigger.start else ""
        return {"kind": "rrule", "rule": trigger.text, "rule_start": start, **clock}
    times = ", ".join(map(format_time, trigger.at))
    start = trigger.start.isoformat() if trigger.start else ""
    return {"kind": "calendar", "count": trigger.count, "days": trigger.unit, "times": times,
            "start": start, "missing": trigger.missing, **clock}  # fmt: skip


def _interval(trigger: Every) -> dict[str, Any]:
    anchor = trigger.anchor.isoformat() if trigger.anchor else ""
    rest = {"kind": "every", "anchor": anchor}
    for unit, seconds in reversed(UNITS.items()):
        count, left = divmod(trigger.period, timedelta(seconds=seconds))
        if not left:
            return {"every": count, "unit": unit, **rest}
    return {"every": trigger.period.total_seconds(), "unit": "seconds", **rest}


def _cron(typed: Texts, tz: str | None, _zone: ZoneInfo) -> Trigger:
    return cron(first(typed, "trigger.cron"), **_clock(typed, tz))


def _clock(typed: Texts, tz: str | None) -> dict[str, Any]:
    gap, fold = first(typed, "trigger.gap"), first(typed, "trigger.fold")
    return {"tz": tz, "gap": gap or "shift", "fold": fold or "first"}


def _every(typed: Texts, _tz: str | None, _zone: ZoneInfo) -> Trigger:
    unit, anchor = first(typed, "trigger.unit"), first(typed, "trigger.anchor").strip()
    if unit not in UNITS:
        raise TriggerProblem("unit", "choose a unit")
    moment = None
    if anchor:
        try:
            moment = read_instant("every", "anchor", anchor)
        except TriggerError:
            hint = "write an instant with its offset, such as 2026-12-24T18:00+01:00"
            raise TriggerProblem("anchor", hint) from None
    number: Any = {unit: _number(typed, "every")}
    return every(**number, anchor=moment)


def _calendar(typed: Texts, tz: str | None, _zone: ZoneInfo) -> Trigger:
    unit, count = first(typed, "trigger.days"), _number(typed, "count")
    times = first(typed, "trigger.times").replace(",", " ").split()
    number: Any = {unit: count}
    return calendar(
        **number,
        at=times or "00:00",
        start=first(typed, "trigger.start").strip() or None,
        missing="skip" if first(typed, "trigger.missing") == "skip" else "clamp",
        **_clock(typed, tz),
    )


def _at(typed: Texts, tz: str | None, zone: ZoneInfo) -> Trigger:
    text = first(typed, "trigger.instant").strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TriggerProblem("instant", "write a date and a time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(tz) if tz else zone)
    return At(moment.astimezone(UTC))


def _rrule(typed: Texts, tz: str | None, _zone: ZoneInfo) -> Trigger:
    start = first(typed, "trigger.rule_start").strip() or None
    return rrule(first(typed, "trigger.rule"), start=start, **_clock(typed, tz))


def _after(typed: Texts, _tz: str | None, _zone: ZoneInfo) -> Trigger:
    parents = [text.strip() for text in typed.get("trigger.parents", ()) if text.strip()]
    if not parents:
        raise TriggerProblem("parents", "name at least one job")
    on: Any = first(typed, "trigger.on") or "success"
    return After(tuple(parents), on)


def _raw(typed: Texts, tz: str | None, _zone: ZoneInfo) -> Trigger:
    text = first(typed, "trigger.text").strip()
    if not text:
        raise TriggerProblem("text", "write a trigger")
    return decode(text) if text.startswith("{") else parse_trigger(text, tz=tz)


_READERS: Mapping[str, Callable[[Texts, str | None, ZoneInfo], Trigger]] = {
    "cron": _cron,
    "every": _every,
    "calendar": _calendar,
    "at": _at,
    "rrule": _rrule,
    "after": _after,
    "text": _raw,
}


def _number(typed: Texts, part: str) -> int | float:
    text = first(typed, f"trigger.{part}").strip()
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise TriggerProblem(part, "write a number") from None


def _excluding(trigger: Trigger, typed: Texts, tz: str | None) -> Trigger:
    weekend = [weekends()] if typed.get("trigger.weekends") else []
    calendars: list[Calendar | str] = [*weekend, *typed.get("trigger.exclude", ())]
    if not calendars:
        return trigger
    shift: Any = first(typed, "trigger.shift") or None
    return trigger.excluding(*calendars, shift=shift, tz=None if trigger.tz else tz)


def _part_of(kind: str, problem: str) -> str:
    """Return the part that an error is about."""
    if kind == "calendar":
        parts = {"start": "start", "'start'": "start", "calendar(": "count"}
        return next((part for text, part in parts.items() if problem.startswith(text)), "times")
    if kind == "rrule" and problem.startswith("start"):
        return "rule_start"
    return _MAIN[kind]
