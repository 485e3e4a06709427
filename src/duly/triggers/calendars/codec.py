"""Calendars as canonical JSON text, and back; see `duly.triggers.codec`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from duly.errors import TriggerError, did_you_mean
from duly.triggers.calendars.base import Calendar, Named, Union
from duly.triggers.calendars.blackouts import Blackout, ClosedHours
from duly.triggers.calendars.days import Dates, Weekends
from duly.triggers.calendars.holidays import Holidays

KINDS: Mapping[str, type[Calendar]] = {
    kind.kind: kind for kind in (Weekends, Dates, Holidays, Blackout, ClosedHours, Union, Named)
}
LONGEST = 262_144


def encode_calendar(calendar: Calendar) -> str:
    """The calendar as JSON text; equal calendars give equal text."""
    return json.dumps(calendar.to_json(), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=256)
def decode_calendar(text: str) -> Calendar:
    """The calendar that `encode_calendar` wrote. Answers are remembered.

    Raises:
        TriggerError: the text describes no calendar.
    """
    if len(text) > LONGEST:
        raise TriggerError(f"a calendar's JSON has at most {LONGEST} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise TriggerError(f"a calendar must be JSON, not {text[:60]!r}") from None
    return calendar_from_json(data)


def calendar_from_json(data: Any, depth: int = 0) -> Calendar:
    """The calendar that JSON data describes.

    Args:
        data: the JSON object.
        depth: how many calendars it lies within.

    Raises:
        TriggerError: it describes none.
    """
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise TriggerError(f"a calendar must be an object with a kind, not {str(data)[:60]!r}")
    if depth > 20:
        raise TriggerError("a calendar may hold calendars 20 deep, not deeper")
    rest = dict(data)
    kind = rest.pop("kind")
    if kind not in KINDS:
        hint = did_you_mean(kind[:20], KINDS)
        raise TriggerError(f"unknown kind of calendar {kind[:20]!r}{hint}")
    return KINDS[kind].from_json(rest, lambda inner: calendar_from_json(inner, depth + 1))
