"""Checks on JSON data that describes a trigger."""

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
) -> None:
    """Refuse missing and unknown keys.

    Raises:
        TriggerError: a key is missing or unknown.
    """
    for key in data:
        if key not in required and key not in optional:
            error = UnknownOption(str(key)[:40], (*required, *optional), f"of trigger {kind!r}")
            raise TriggerError(str(error))
    for key in required:
        if key not in data:
            raise TriggerError(f"trigger {kind!r} lacks {key!r}")


def read_instant(kind: str, key: str, value: object) -> datetime:
    """An instant written as ISO 8601 text with an offset.

    Raises:
        TriggerError: it is something else.
    """
    try:
        if isinstance(value, str) and len(value) <= 40:
            return aware_utc(datetime.fromisoformat(value), key)
    except (ValueError, OverflowError):
        pass
    raise TriggerError(
        f"{key} of trigger {kind!r} must be a time with an offset, such as "
        f"'2026-01-01T00:00:00+00:00', not {str(value)[:60]!r}"
    )


def read_date(kind: str, key: str, value: object) -> date:
    """A day written as ``YYYY-MM-DD``.

    Raises:
        TriggerError: it is something else.
    """
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise TriggerError(
        f"{key} of trigger {kind!r} must be a day such as '2026-01-31', not {str(value)[:60]!r}"
    )
