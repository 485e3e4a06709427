"""Validation of the JSON data of triggers and calendars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from duly.clock import aware_utc
from duly.errors import TriggerError, UnknownOption


def check_keys(
    kind: str,
    data: Mapping[str, Any],
    *,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    noun: str = "trigger",
) -> None:
    """Reject missing and unknown keys.

    Args:
        kind: the kind of trigger or calendar, for the message.
        data: the JSON object.
        required: the keys that must be present.
        optional: the keys that may be present.
        noun: what the data describes, for the message.

    Raises:
        TriggerError: a key is missing or unknown.
    """
    for key in data:
        if key not in required and key not in optional:
            known = (*required, *optional)
            error = UnknownOption(str(key)[:40], known, f"of {noun} {kind!r}", {})
            raise TriggerError(str(error))
    for key in required:
        if key not in data:
            raise TriggerError(f"{noun} {kind!r} requires the key {key!r}")


def read_instant(kind: str, key: str, value: object, *, noun: str = "trigger") -> datetime:
    """Parse an instant written in ISO 8601 with a UTC offset.

    Args:
        kind: the kind of trigger or calendar, for the message.
        key: the key of the value, for the message.
        value: the JSON value.
        noun: what the data describes, for the message.

    Raises:
        TriggerError: the value is not such a string.
    """
    try:
        if isinstance(value, str) and len(value) <= 40:
            return aware_utc(datetime.fromisoformat(value), key)
    except (ValueError, OverflowError):
        pass
    raise TriggerError(
        f"{key!r} of {noun} {kind!r} must be a time with a UTC offset, such as "
        f"'2026-01-01T00:00:00+00:00', not {str(value)[:60]!r}"
    )


def read_date(kind: str, key: str, value: object, *, noun: str = "trigger") -> date:
    """Parse a date written as ``YYYY-MM-DD``; the arguments are those of `read_instant`.

    Raises:
        TriggerError: the value is not such a string.
    """
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise TriggerError(
        f"{key!r} of {noun} {kind!r} must be a date such as '2026-01-31', not {str(value)[:60]!r}"
    )
