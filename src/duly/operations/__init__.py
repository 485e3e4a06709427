"""The operations of a scheduler: each function is one call, with its checks and its transaction."""

from __future__ import annotations

from duly.operations import (
    at_start,
    backfill,
    bulk,
    calendars,
    dead_letters,
    declare,
    doctor,
    enqueue,
    events,
    groups,
    jobs,
    keys,
    lifecycle,
    measures,
    notices,
    problems,
    queues,
    runs,
    status,
    waiting,
)

__all__ = [
    "at_start",
    "backfill",
    "bulk",
    "calendars",
    "dead_letters",
    "declare",
    "doctor",
    "enqueue",
    "events",
    "groups",
    "jobs",
    "keys",
    "lifecycle",
    "measures",
    "notices",
    "problems",
    "queues",
    "runs",
    "status",
    "waiting",
]
