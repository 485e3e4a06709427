"""What one can do with a scheduler. Each verb has one home: checks, transaction and rows."""

from __future__ import annotations

from duly.operations import (
    backfill,
    calendars,
    declare,
    doctor,
    enqueue,
    events,
    jobs,
    lifecycle,
    queues,
    runs,
    status,
)

__all__ = [
    "backfill",
    "calendars",
    "declare",
    "doctor",
    "enqueue",
    "events",
    "jobs",
    "lifecycle",
    "queues",
    "runs",
    "status",
]
