"""Warn about triggers that may not fire as their author expects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from duly.triggers.base import Trigger, WallPart
from duly.triggers.crontab.text import CronFields
from duly.triggers.crontab.trigger import Cron
from duly.triggers.english import MONTH_NAMES, join
from duly.triggers.excluding import Excluding
from duly.triggers.frequencies.trigger import Frequency
from duly.triggers.interval import Every
from duly.triggers.wallclock.changes import clock_changes
from duly.triggers.wallclock.day_rules import LENGTHS, MonthDays
from duly.triggers.wallclock.seconds import DAY, EARLIEST, EPOCH, LATEST, epoch_second

_AHEAD = 400 * DAY
"""The seconds ahead in which clock changes are examined: more than a year, so each yearly one."""


def lint(trigger: Trigger, moment: datetime) -> tuple[str, ...]:
    """Return warnings about a trigger, one sentence each, the most important first.

    Args:
        trigger: the trigger.
        moment: an aware datetime; the clock changes of the 400 days after it are examined.

    Raises:
        NaiveDatetimeError: ``moment`` has no time zone.
    """
    warnings = [*_clock_warnings(trigger, epoch_second(moment)), *_own_warnings(trigger)]
    return tuple(dict.fromkeys(warnings))


def _clock_warnings(trigger: Trigger, start: int) -> Iterator[str]:
    """Warn about the first gap and the first fold that affect each pattern of the trigger."""
    start = max(start, EARLIEST)
    end = min(start + _AHEAD, LATEST)
    for part in trigger.wall_parts():
        reported: set[bool] = set()
        for at, before, after in clock_changes(part.clock.tz or "UTC", start, end):
            is_gap = after > before
            first, last = at + min(before, after), at + max(before, after)
            wall = part.pattern.at_or_after(first)
            if is_gap not in reported and wall is not None and wall < last:
                reported.add(is_gap)
                yield _gap(part, wall, last - first, last) if is_gap else _fold(part, wall)


def _gap(part: WallPart, wall: int, length: int, resumes: int) -> str:
    outcome = {
        "shift": f"will run at {_clock(wall + length)}",
        "first": f"will run at {_clock(resumes)}",
        "skip": "will not run",
    }[part.clock.gap]
    if part.clock.gap == "shift" and length >= DAY:
        outcome = f"will run on {_day(wall + length)}"
    return (
        f"fires at {_clock(wall)}, which does not exist on {_day(wall)} "
        f"in {part.clock.tz or 'UTC'}: {outcome}"
    )


def _fold(part: WallPart, wall: int) -> str:
    outcome = {
        "first": "will run once, the first time",
        "last": "will run once, the second time",
        "both": "will run twice",
    }[part.clock.fold]
    return (
        f"fires at {_clock(wall)}, which occurs twice on {_day(wall)} "
        f"in {part.clock.tz or 'UTC'}: {outcome}"
    )


def _own_warnings(trigger: Trigger) -> Iterator[str]:
    match trigger:
        case Cron():
            yield from _cron_warnings(trigger.fields)
        case Every(period) if period % timedelta(days=1) == timedelta(0):
            yield (
                "a day is 24 hours here, so the time of day shifts when the clocks change; "
                "use cron or calendar to keep it"
            )
        case Frequency():
            yield from trigger.warnings
        case Excluding(inner):
            yield from _own_warnings(inner)


def _cron_warnings(fields: CronFields) -> Iterator[str]:
    if fields.either_day:
        yield (
            "day-of-month and day-of-week are both set, so it fires on days that match either of "
            "them, as crontab does"
        )
    yield from _missing_days(fields)
    for name, text, span in (
        ("second", fields.texts[0], 60),
        ("minute", fields.texts[1], 60),
        ("hour", fields.texts[2], 24),
    ):
        step = text.removeprefix("*/")
        if text.startswith("*/") and step.isdigit() and span % int(step):
            rest = span % int(step)
            yield (
                f"{text} in the {name} field restarts at 0, so the last step is only {rest} "
                f"{name}{'s' * (rest > 1)} long"
            )


def _missing_days(fields: CronFields) -> Iterator[str]:
    """Warn about months without the listed day, unless another rule or weekday covers them."""
    if fields.texts[5] != "*" or len(fields.days_of_month) != 1:
        return
    rule = fields.days_of_month[0]
    if isinstance(rule, MonthDays) and rule.numbers[0] > 28:
        day = rule.numbers[0]
        without = [MONTH_NAMES[month - 1] for month in fields.months if max(LENGTHS[month]) < day]
        if 2 in fields.months and day == 29:
            yield (
                "does not fire in February, which has no day 29 except in leap years; "
                "use 'L' for the last day"
            )
        elif without:
            have = "have" if len(without) > 1 else "has"
            yield (
                f"does not fire in {join(without)}, which {have} no day {day}; "
                "use 'L' for the last day"
            )


def _clock(wall: int) -> str:
    text = f"{EPOCH + timedelta(0, wall):%H:%M:%S}"
    return text.removesuffix(":00")


def _day(wall: int) -> str:
    return f"{EPOCH + timedelta(0, wall):%Y-%m-%d}"
