"""Lateness as a histogram: how long after they were due runs started, in buckets of seconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime

BOUNDS = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1800.0, 3600.0, 21_600.0, 86_400.0, 604_800.0,
)  # fmt: skip
"""The upper bounds of the buckets; what lies above the last one is a bucket more."""

NEVER = -1
"""The bucket of runs that ended without having started."""


def bucket_of(due_at: datetime, started_at: datetime | None) -> int:
    """Return the bucket of a run: the number of bounds that its lateness has reached."""
    if started_at is None:
        return NEVER
    return bisect_right(BOUNDS, (started_at - due_at).total_seconds())


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the lateness in seconds that a share of the runs did not exceed.

    It is the upper bound of a bucket, and so at most two and a half times too large up to ten
    seconds, and four times beyond. A week or more is returned as a week.

    Args:
        counts: the number of runs by bucket; those that never started do not matter.
        share: for instance 0.99.

    Returns:
        ``None`` if no run has started.
    """
    started = sorted((bucket, count) for bucket, count in counts.items() if bucket != NEVER)
    rank = share * sum(count for _bucket, count in started)
    for bucket, count in started:
        rank -= count
        if rank <= 0 and count:
            return BOUNDS[min(bucket, len(BOUNDS) - 1)]
    return None
