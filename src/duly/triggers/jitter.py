"""Spreads starts over a stretch of time, the same way every time it is asked."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from duly.triggers.base import EPOCH

_TICK = timedelta(microseconds=1)


def jitter_delay(
    nominal: datetime, spread: timedelta, *, job_id: str, following: datetime | None = None
) -> timedelta:
    """How long after its nominal time an occurrence starts.

    The delay depends on the job's id and the nominal time only, so every process finds the same
    one. It never reaches the next nominal time, so occurrences start in order (rule R7).

    Args:
        nominal: the nominal time, aware.
        spread: the longest delay.
        job_id: the job's id.
        following: the job's next nominal time; default: there is none.
    """
    if following is not None:
        spread = min(spread, following - nominal - _TICK)
    if spread <= timedelta(0):
        return timedelta(0)
    instant = (nominal - EPOCH) // _TICK
    digest = hashlib.sha256(f"{job_id}\0{instant}".encode()).digest()
    fraction = int.from_bytes(digest[:7], "big") / 2**56
    return spread * fraction
