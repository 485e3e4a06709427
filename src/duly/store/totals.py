"""The numbers of all runs by state and by queue, up to a bound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Connection, String, and_, bindparam, func, select, union_all

from duly.model.identity import floor_id
from duly.store.sql.bounded_count import bounded_counts
from duly.store.tables import (
    NOTABLE,
    NOTABLE_STATES,
    OCCUPIED,
    READY,
    RUNNING,
    SCHEDULED,
    WAITING,
    run,
)

DEEP = 100_000
"""The number at which the runs of a queue stop being counted."""

QUEUES_AT_ONCE = 50
"""The number of queues whose depths one statement reads."""

RECENT = 5_000
"""The number of the newest runs that are counted by state."""

_CLAIM_ORDER = ("concurrency_key", "priority", "due_at", "id")


def live_by_state(conn: Connection) -> dict[str, int]:
    """Count the scheduled, ready and running runs, by state, up to `COUNTED` in each."""
    # The rest: runs whose earlier attempt still executes, and which are due later.
    rest = and_(OCCUPIED, run.c.state == "scheduled", ~run.c.waits_for_slot)
    states = (
        ("ready", READY), ("running", RUNNING), ("scheduled", SCHEDULED), ("scheduled", WAITING),
        ("scheduled", rest),
    )  # fmt: skip
    return bounded_counts(conn, run, states)


def queue_depths(conn: Connection, queues: Sequence[str]) -> dict[str, tuple[int, datetime | None]]:
    """Count the ready runs of queues, up to `DEEP` each, and tell when the first of each was due.

    Of a deeper queue, those are looked at that would be claimed first.
    """
    depths = dict[str, tuple[int, datetime | None]]()
    for first in range(0, len(queues), QUEUES_AT_ONCE):
        some = queues[first : first + QUEUES_AT_ONCE]
        values = {f"queue_{number}": queue for number, queue in enumerate(some)}
        found = conn.execute(_depths(len(some)), values)
        depths |= {row.queue: (row.number, row.first) for row in found}
    return depths


def by_state_since(conn: Connection, since: datetime) -> dict[str, int]:
    """Count the runs created since an instant, by state.

    No index serves the states that runs have most: of these, only the newest `RECENT` runs are
    counted. The others are counted up to `COUNTED` in each.
    """
    is_recent = run.c.id >= floor_id(since)
    newest = select(run.c.state).where(is_recent).order_by(run.c.id.desc()).limit(RECENT)
    some = newest.subquery()
    statement = select(some.c.state, func.count().label("number")).group_by(some.c.state)
    found = {row.state: row.number for row in conn.execute(statement)}
    notable = ((state, and_(NOTABLE, run.c.state == state, is_recent)) for state in NOTABLE_STATES)
    return found | bounded_counts(conn, run, notable)


def failed(conn: Connection) -> int:
    """Count the failed runs, the dead letters, up to `COUNTED`."""
    return bounded_counts(conn, run, [("failed", and_(NOTABLE, run.c.state == "failed"))]).get(
        "failed", 0
    )


@cache
def _depths(number: int) -> CompoundSelect[Any]:
    parts = []
    for each in range(number):
        queue = bindparam(f"queue_{each}", type_=String())
        ready = select(run.c.due_at).where(READY, run.c.queue == queue)
        some = ready.order_by(*(run.c[name] for name in _CLAIM_ORDER)).limit(DEEP).subquery()
        first = func.min(some.c.due_at).label("first")
        parts.append(select(queue.label("queue"), func.count().label("number"), first))
    return union_all(*parts)
