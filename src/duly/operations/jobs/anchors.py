"""The instants that stored triggers were anchored to when they were bound.

A trigger such as ``every(hours=8)`` counts from when its job was stored. Whoever says the same
again, days later, must get the same series: so it is bound to the instant that is already there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from duly.errors import PayloadError
from duly.model import payload

NOON = time(12)
_ZONE_KEYS = ("tz", "timezone")


def anchors_in(text: str, zone: str) -> list[datetime]:
    """Every instant that the parts of a stored trigger may have been anchored to.

    Args:
        text: the stored trigger.
        zone: of parts that name none.
    """
    try:
        return list(_walk(payload.decode(text), zone))
    except PayloadError:
        return []


def _walk(data: Any, zone: str) -> Iterator[datetime]:
    if isinstance(data, list):
        for part in data:
            yield from _walk(part, zone)
    if isinstance(data, dict):
        zone = next((data[key] for key in _ZONE_KEYS if isinstance(data.get(key), str)), zone)
        for key in ("anchor", "start"):
            with contextlib.suppress(TypeError, ValueError, OSError):
                yield _instant(data.get(key), zone)
        for part in data.values():
            yield from _walk(part, zone)


def _instant(text: Any, zone: str) -> datetime:
    """An instant, a wall time, or a day: noon of it lies in that day in every zone nearby."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return moment
    if "T" not in text:
        moment = datetime.combine(moment, NOON)
    return moment.replace(tzinfo=ZoneInfo(zone))
