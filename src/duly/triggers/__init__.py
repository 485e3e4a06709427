"""Triggers: pure values that answer "when does it fire next, after this instant?".

What all triggers share is imported at once; each kind is imported when it is first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duly.lazy_names import lazy_names
from duly.triggers.base import Trigger as Trigger
from duly.triggers.codec import decode as decode
from duly.triggers.codec import encode as encode
from duly.triggers.due import Due as Due

if TYPE_CHECKING:
    from duly.triggers.calendar_interval import CalendarInterval as CalendarInterval
    from duly.triggers.calendar_interval import calendar as calendar
    from duly.triggers.calendars.base import Calendar as Calendar
    from duly.triggers.calendars.base import union as union
    from duly.triggers.calendars.blackouts import blackout as blackout
    from duly.triggers.calendars.blackouts import closed_hours as closed_hours
    from duly.triggers.calendars.codec import decode_calendar as decode_calendar
    from duly.triggers.calendars.codec import encode_calendar as encode_calendar
    from duly.triggers.calendars.days import dates as dates
    from duly.triggers.calendars.days import weekends as weekends
    from duly.triggers.calendars.holidays import holidays as holidays
    from duly.triggers.combine import AllOf as AllOf
    from duly.triggers.combine import AnyOf as AnyOf
    from duly.triggers.combine import all_of as all_of
    from duly.triggers.combine import any_of as any_of
    from duly.triggers.crontab.trigger import Cron as Cron
    from duly.triggers.crontab.trigger import cron as cron
    from duly.triggers.dependency import After as After
    from duly.triggers.dependency import after as after
    from duly.triggers.excluding import Excluding as Excluding
    from duly.triggers.explanation import Explanation as Explanation
    from duly.triggers.explanation import Fire as Fire
    from duly.triggers.explanation import explain as explain
    from duly.triggers.frequencies.trigger import Frequency as Frequency
    from duly.triggers.frequencies.trigger import frequency as frequency
    from duly.triggers.interval import Every as Every
    from duly.triggers.interval import every as every
    from duly.triggers.linting import lint as lint
    from duly.triggers.once import At as At
    from duly.triggers.once import at as at
    from duly.triggers.once import before as before
    from duly.triggers.recurrence.trigger import RRule as RRule
    from duly.triggers.recurrence.trigger import rrule as rrule
    from duly.triggers.text import parse_trigger as parse_trigger

# No module or folder may have the name of an export: importing it would shadow that name, so the
# folder of `cron` is called ``crontab``, that of `rrule` ``recurrence``.
_HOMES = {
    "After": "duly.triggers.dependency",
    "AllOf": "duly.triggers.combine",
    "AnyOf": "duly.triggers.combine",
    "At": "duly.triggers.once",
    "Calendar": "duly.triggers.calendars.base",
    "CalendarInterval": "duly.triggers.calendar_interval",
    "Cron": "duly.triggers.crontab.trigger",
    "Every": "duly.triggers.interval",
    "Excluding": "duly.triggers.excluding",
    "Explanation": "duly.triggers.explanation",
    "Fire": "duly.triggers.explanation",
    "Frequency": "duly.triggers.frequencies.trigger",
    "RRule": "duly.triggers.recurrence.trigger",
    "after": "duly.triggers.dependency",
    "all_of": "duly.triggers.combine",
    "any_of": "duly.triggers.combine",
    "at": "duly.triggers.once",
    "before": "duly.triggers.once",
    "blackout": "duly.triggers.calendars.blackouts",
    "calendar": "duly.triggers.calendar_interval",
    "closed_hours": "duly.triggers.calendars.blackouts",
    "cron": "duly.triggers.crontab.trigger",
    "dates": "duly.triggers.calendars.days",
    "decode_calendar": "duly.triggers.calendars.codec",
    "encode_calendar": "duly.triggers.calendars.codec",
    "every": "duly.triggers.interval",
    "explain": "duly.triggers.explanation",
    "frequency": "duly.triggers.frequencies.trigger",
    "holidays": "duly.triggers.calendars.holidays",
    "lint": "duly.triggers.linting",
    "parse_trigger": "duly.triggers.text",
    "rrule": "duly.triggers.recurrence.trigger",
    "union": "duly.triggers.calendars.base",
    "weekends": "duly.triggers.calendars.days",
}

__all__ = [  # noqa: PLE0604 - the rest is in _HOMES
    *("Due", "Trigger", "decode", "encode"),
    *_HOMES,
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
