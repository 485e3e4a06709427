"""Binding of triggers: the zone, the anchor and the calendars are filled in when one is stored.

A trigger such as ``every(hours=8)`` counts from the instant at which its job was stored. The same
declaration must result in the same series days later, so it is bound to the anchor that is stored
already.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, time
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from duly.errors import PayloadError
from duly.model import payload
from duly.operations.definition import Definition
from duly.store import calendars
from duly.store.rows import JobRow
from duly.store.transaction import Transaction
from duly.triggers import Trigger, encode

NOON = time(12)
_ANY = "<any job>"
_WITH_ONE_ANCHOR = frozenset({"every", "calendar", "frequency", "rrule"})
"""The kinds of triggers whose texts differ only in ``anchor`` or ``start`` by their anchor."""

_ANCHOR = re.compile(r'"(?:anchor|start)":"[^"]*"')
_ZONE_KEYS = ("tz", "timezone")


def bind(tx: Transaction, wanted: Definition, anchor: datetime | None) -> tuple[Trigger, str]:
    """Return a definition's trigger, bound to its zone, an anchor and calendars, and its text."""
    try:
        shared = _bind_for_any(wanted.trigger, wanted.zone, anchor)
    except TypeError:  # an unhashable trigger
        shared = None
    bound, text = shared or _bind(wanted.trigger, wanted.id, wanted.zone, anchor)
    needed = calendars.needed_by(tx, text)
    if needed is None:
        return bound, text
    bound = bound.bind(calendars=needed)
    return bound, encode(bound)


def _bind(trigger: Trigger, job_id: str, zone: str, anchor: datetime | None) -> tuple[Trigger, str]:
    bound = trigger.bind(job_id=job_id, tz=zone, anchor=anchor)
    return bound, encode(bound)


@lru_cache(maxsize=256)
def _bind_for_any(
    trigger: Trigger, zone: str, anchor: datetime | None
) -> tuple[Trigger, str] | None:
    """Bind a trigger that does not depend on the job's id, once for many jobs."""
    bound, text = _bind(trigger, _ANY, zone, anchor)
    return None if _ANY in text else (bound, text)


def bind_again(tx: Transaction, wanted: Definition, row: JobRow) -> tuple[Trigger, str]:
    """Bind a definition's trigger to the anchor of the stored one if that makes them equal."""
    now = bind(tx, wanted, tx.now)
    if now[1] == row.trigger or not _may_become_equal(wanted.trigger, now[1], row.trigger):
        return now
    for anchor in _anchors_in(row.trigger, wanted.zone):
        bound, text = bind(tx, wanted, anchor)
        if text == row.trigger:
            return bound, text
    return now


def _may_become_equal(trigger: Trigger, text: str, stored: str) -> bool:
    """Return whether another anchor could make a trigger's text the stored one."""
    if trigger.kind not in _WITH_ONE_ANCHOR:
        return True
    return _ANCHOR.sub("", text) == _ANCHOR.sub("", stored)


@lru_cache(maxsize=256)
def _anchors_in(text: str, zone: str) -> list[datetime]:
    """Return every instant that the parts of a stored trigger may have been anchored to.

    Args:
        text: the stored trigger.
        zone: the zone of parts that do not name one.
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
    """Read an instant, a wall time, or a day: noon of that day is the same day in nearby zones."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return moment
    if "T" not in text:
        moment = datetime.combine(moment, NOON)
    return moment.replace(tzinfo=ZoneInfo(zone))
