"""Triggers as canonical JSON text, and back.

The text holds data only: ``kind`` chooses from a fixed table, and nothing in it can name code.
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
"""The class of each kind; the package loads it when it first comes up."""

CANONICAL = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)
"""Kept, because json.dumps makes a new one per call where options are given."""

LONGEST = 65_536
"""Characters of JSON text that are read at most."""


def encode(trigger: Trigger) -> str:
    """The trigger as JSON text; equal triggers give equal text."""
    return CANONICAL.encode(trigger.to_json())


@lru_cache(maxsize=16_384)
def decode(text: str) -> Trigger:
    """The trigger that `encode` wrote. Answers are remembered.

    Raises:
        TriggerError: the text describes no trigger.
    """
    if len(text) > LONGEST:
        raise TriggerError(f"a trigger's JSON has at most {LONGEST} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise TriggerError(f"a trigger must be JSON, not {text[:60]!r}") from None
    return from_json(data)


def from_json(data: Any) -> Trigger:
    """The trigger that JSON data describes.

    Raises:
        TriggerError: it describes none.
    """
    return _read(data, 0)


def _read(data: Any, depth: int) -> Trigger:
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise TriggerError(f"a trigger must be an object with a kind, not {str(data)[:60]!r}")
    if depth > 20:
        raise TriggerError("a trigger may hold triggers 20 deep, not deeper")
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
    found: type[Trigger] = getattr(sys.modules[__package__], KINDS[kind])
    return found
