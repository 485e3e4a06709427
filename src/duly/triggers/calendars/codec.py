"""Encode calendars as canonical JSON text and decode them; see `duly.triggers.codec`."""

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
"""The maximum number of characters of JSON text."""

_DEPTH = 20
"""The maximum nesting depth of calendars."""


def encode_calendar(calendar: Calendar) -> str:
    """Return the calendar as JSON text; equal calendars have equal text.

    Raises:
        TriggerError: the text would be too long.
    """
    data = calendar.to_json()
    text = json.dumps(data, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    if len(text) > LONGEST:
        raise TriggerError(
            f"the JSON of this calendar has {len(text)} characters; {LONGEST} are allowed, so "
            "exclude fewer dates"
        )
    return text


@lru_cache(maxsize=256)
def decode_calendar(text: str) -> Calendar:
    """Return the calendar that `encode_calendar` wrote. Results are cached.

    Raises:
        TriggerError: the text is not a valid calendar.
    """
    if len(text) > LONGEST:
        raise TriggerError(f"the JSON of a calendar must not exceed {LONGEST} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise TriggerError(f"a calendar must be valid JSON, not {text[:60]!r}") from None
    return calendar_from_json(data)


def calendar_from_json(data: Any, depth: int = 0) -> Calendar:
    """Return the calendar that JSON data describes.

    Args:
        data: the JSON object.
        depth: the number of calendars in which it is nested.

    Raises:
        TriggerError: the data is not a valid calendar.
    """
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise TriggerError(f"a calendar must be an object with a 'kind', not {str(data)[:60]!r}")
    if depth > _DEPTH:
        raise TriggerError(f"calendars must not be nested more than {_DEPTH} deep")
    rest = dict(data)
    kind = rest.pop("kind")
    if kind not in KINDS:
        hint = did_you_mean(kind[:20], KINDS)
        raise TriggerError(f"unknown kind of calendar {kind[:20]!r}{hint}")
    return KINDS[kind].from_json(rest, lambda inner: calendar_from_json(inner, depth + 1))
