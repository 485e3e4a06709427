"""Encode triggers as canonical JSON text and decode them.

The text is data only: ``kind`` selects from a fixed table, so stored text can never name code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from duly.errors import DulyError, TriggerError, did_you_mean
from duly.triggers.base import Trigger

KINDS: Mapping[str, str] = {
    "after": "After",
    "all_of": "AllOf",
    "any_of": "AnyOf",
    "at": "At",
    "calendar": "CalendarInterval",
    "cron": "Cron",
    "every": "Every",
    "excluding": "Excluding",
    "frequency": "Frequency",
    "rrule": "RRule",
}
"""The class of each kind; the package imports it on first use."""

CANONICAL = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)
"""Shared, because json.dumps creates a new encoder per call when it is given options."""

LONGEST = 65_536
"""The maximum number of characters of JSON text."""

_DEPTH = 20
"""The maximum nesting depth of triggers."""


def encode(trigger: Trigger) -> str:
    """Return the trigger as JSON text; equal triggers have equal text.

    Raises:
        TriggerError: the text would be too long.
    """
    text = CANONICAL.encode(trigger.to_json())
    if len(text) > LONGEST:
        raise TriggerError(
            f"the JSON of this trigger has {len(text)} characters; {LONGEST} are allowed, so "
            "exclude fewer dates, or add several jobs instead"
        )
    return text


@lru_cache(maxsize=16_384)
def decode(text: str) -> Trigger:
    """Return the trigger that `encode` wrote. Results are cached.

    Raises:
        TriggerError: the text is not a valid trigger.
    """
    if len(text) > LONGEST:
        raise TriggerError(f"the JSON of a trigger must not exceed {LONGEST} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise TriggerError(f"a trigger must be valid JSON, not {text[:60]!r}") from None
    return from_json(data)


def from_json(data: Any) -> Trigger:
    """Return the trigger that JSON data describes.

    Raises:
        TriggerError: the data is not a valid trigger.
    """
    return _read(data, 0)


def _read(data: Any, depth: int) -> Trigger:
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise TriggerError(f"a trigger must be an object with a 'kind', not {str(data)[:60]!r}")
    if depth > _DEPTH:
        raise TriggerError(f"triggers must not be nested more than {_DEPTH} deep")
    rest = dict(data)
    kind = rest.pop("kind")
    if kind not in KINDS:
        hint = did_you_mean(kind[:20], KINDS)
        raise TriggerError(f"unknown kind of trigger {kind[:20]!r}{hint}")
    try:
        return _class(kind).from_json(rest, lambda inner: _read(inner, depth + 1))
    except TriggerError:
        raise
    except DulyError as error:
        raise TriggerError(str(error)) from error


def _class(kind: str) -> type[Trigger]:
    trigger_class: type[Trigger] = getattr(sys.modules[__package__], KINDS[kind])
    return trigger_class
