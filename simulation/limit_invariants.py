"""Invariant 6, the limits over all workers: of a concurrency key, and of a queue's rate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from simulation.limit_commands import KEY, METERED, PER, RATE
from simulation.records import Records

ROUNDING = 1e-3
"""The part of a start that rounding may add to the bucket."""


def keys_hold(records: Records) -> Iterator[str]:
    """(6) Runs with the concurrency key execute one at a time."""
    executing: set[str] = set()
    for change in records.run_changes:
        if change.after.concurrency_key != KEY:
            continue
        if not change.after.is_executing:
            executing.discard(change.run_id)
        elif change.run_id not in executing:
            executing.add(change.run_id)
            if len(executing) > 1:
                yield f"(6) key {KEY} in step {change.step}: {len(executing)} runs at once"


def rates_hold(records: Records) -> Iterator[str]:
    """(6) The metered queue starts no more runs than its bucket ever holds tokens.

    The bucket is filled once, when the limit is said for the first time, before any run exists.
    """
    tokens, last = float(RATE), datetime.min.replace(tzinfo=UTC)
    for change in records.run_changes:
        claimed = change.after.state == "running" and change.before.state != "running"
        if not claimed or change.after.queue != METERED or change.after.started_at is None:
            continue
        moment = datetime.fromisoformat(change.after.started_at)
        passed = max(0.0, (moment - last).total_seconds())
        tokens, last = min(float(RATE), tokens + passed * RATE / PER) - 1, moment
        if tokens < -ROUNDING:
            yield f"(6) queue {METERED} in step {change.step}: more than {RATE} starts in {PER} s"
