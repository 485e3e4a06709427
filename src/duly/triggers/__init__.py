"""Triggers: pure values that answer "when next, after this instant?".

What all triggers share is loaded at once, each of them when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from duly.triggers.base import Due as Due
from duly.triggers.base import Trigger as Trigger
from duly.triggers.codec import decode as decode
from duly.triggers.codec import encode as encode

if TYPE_CHECKING:
    from duly.triggers.blackouts import blackout as blackout
    from duly.triggers.blackouts import closed_hours as closed_hours
    from duly.triggers.calendar_codec import decode_calendar as decode_calendar
    from duly.triggers.calendar_codec import encode_calendar as encode_calendar
    from duly.triggers.calendar_interval import CalendarInterval as CalendarInterval
    from duly.triggers.calendar_interval import calendar as calendar
    from duly.triggers.calendars import Calendar as Calendar
    from duly.triggers.calendars import union as union
    from duly.triggers.combine import AllOf as AllOf
    from duly.triggers.combine import AnyOf as AnyOf
    from duly.triggers.combine import all_of as all_of
    from duly.triggers.combine import any_of as any_of
    from duly.triggers.crontab import Cron as Cron
    from duly.triggers.crontab import cron as cron
    from duly.triggers.day_calendars import dates as dates
    from duly.triggers.day_calendars import weekends as weekends
    from duly.triggers.dependency import After as After
    from duly.triggers.excluding import Excluding as Excluding
    from duly.triggers.explanation import Explanation as Explanation
    from duly.triggers.explanation import Fire as Fire
    from duly.triggers.explanation import explain as explain
    from duly.triggers.frequencies import Frequency as Frequency
    from duly.triggers.frequencies import frequency as frequency
    from duly.triggers.interval import Every as Every
    from duly.triggers.interval import every as every
    from duly.triggers.jitter import jitter_delay as jitter_delay
    from duly.triggers.linting import lint as lint
    from duly.triggers.once import At as At
    from duly.triggers.once import at as at
    from duly.triggers.public_holidays import holidays as holidays
    from duly.triggers.recurrence import RRule as RRule
    from duly.triggers.recurrence import rrule as rrule
    from duly.triggers.wall_steps import shift_wall as shift_wall

# No module may bear the name of something it exports: loading it would hide that name.
_HOMES = {
    "After": "dependency",
    "AllOf": "combine",
    "AnyOf": "combine",
    "At": "once",
    "Calendar": "calendars",
    "CalendarInterval": "calendar_interval",
    "Cron": "crontab",
    "Every": "interval",
    "Excluding": "excluding",
    "Explanation": "explanation",
    "Fire": "explanation",
    "Frequency": "frequencies",
    "RRule": "recurrence",
    "all_of": "combine",
    "any_of": "combine",
    "at": "once",
    "blackout": "blackouts",
    "calendar": "calendar_interval",
    "closed_hours": "blackouts",
    "cron": "crontab",
    "dates": "day_calendars",
    "decode_calendar": "calendar_codec",
    "encode_calendar": "calendar_codec",
    "every": "interval",
    "explain": "explanation",
    "frequency": "frequencies",
    "holidays": "public_holidays",
    "jitter_delay": "jitter",
    "lint": "linting",
    "rrule": "recurrence",
    "shift_wall": "wall_steps",
    "union": "calendars",
    "weekends": "day_calendars",
}

__all__ = [  # noqa: PLE0604 - the rest stands in _HOMES
    *("Due", "Trigger", "decode", "encode"),
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"duly.triggers.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'duly.triggers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
