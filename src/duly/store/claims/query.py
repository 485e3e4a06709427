"""The queries behind every claim: which ready runs come next, and which columns a claim returns."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    TextClause,
    bindparam,
    func,
    literal,
    select,
)

from duly.store.dialect import Choice
from duly.store.sql.columns import Instant, Name
from duly.store.tables import READY, run

KEYS_AT_ONCE = 500
"""The number of concurrency keys of a queue that one claim reads; the next one continues there."""


def chosen_runs(choice: Choice, known: ColumnElement[bool] | None = None) -> Select[Any]:
    """Select the ids of the runs that a claim takes.

    Args:
        choice: which runs.
        known: the condition that a run's task is one of ``tasks``, if the dialect has a better
            form of it than ``IN``.
    """
    if choice is Choice.LISTED:
        return select(run.c.id).where(READY, run.c.id.in_(bindparam("ids", expanding=True)))
    wanted = select(run.c.id).where(*_claimable(known), run.c.concurrency_key.is_(None))
    plain = in_claim_order(wanted)
    if choice is Choice.PREFETCH:
        plain = plain.where(run.c.unique_key.is_(None) | (run.c.unique_scope == "until_done"))
    return plain


@cache
def plain_runs() -> Select[Any]:
    """Select the runs of `Choice.PLAIN` with the columns that order them."""
    wanted = select(*ORDER).where(*_claimable(), run.c.concurrency_key.is_(None))
    return in_claim_order(wanted)


@cache
def runs_of_key() -> Select[Any]:
    """Select the next runs with a key; parameters: ``key`` and those of `Choice.PLAIN`."""
    same = run.c.concurrency_key == bindparam("key", type_=Name)
    return in_claim_order(select(*ORDER).where(*_claimable(), same))


@cache
def first_of_keys() -> Select[Any]:
    """Select up to 500 concurrency keys of a queue after ``after``, each with its next run's id.

    The query steps from key to key in the index, so its cost depends on the number of keys and not
    on the number of runs. Parameters: ``after`` and those of `Choice.PLAIN`.
    """
    next_key = select(func.min(run.c.concurrency_key)).where(READY, _in_queue())
    start = next_key.where(run.c.concurrency_key > bindparam("after", type_=Name))
    keys = select(start.scalar_subquery().label("key"), literal(1).label("place")).cte(
        "keys", recursive=True
    )
    step = next_key.where(run.c.concurrency_key > keys.c.key).correlate(keys).scalar_subquery()
    more = keys.c.key.is_not(None) & (keys.c.place < KEYS_AT_ONCE)
    keys = keys.union_all(select(step, keys.c.place + 1).where(more))
    first = in_claim_order(
        select(run.c.id).where(*_claimable(), run.c.concurrency_key == keys.c.key), limit=1
    )
    found = first.correlate(keys).scalar_subquery().label("id")
    return select(keys.c.key, found).where(keys.c.key.is_not(None))


def claim_order(row: Any) -> tuple[Any, ...]:
    """Return the sort key of claimed rows: the order in which runs are claimed."""
    return (row.priority, row.due_at, row.id)


def in_claim_order(statement: Select[Any], *, limit: int | None = None) -> Select[Any]:
    """Add the claim order and a limit to a statement for one concurrency key, or for none.

    The key is part of the order because PostgreSQL does not infer that it is the same in all rows.
    """
    columns = (run.c.concurrency_key, run.c.priority, run.c.due_at, run.c.id)
    wanted = statement.order_by(*columns)
    return wanted.limit(bindparam("limit") if limit is None else limit)


CLAIMED = (
    run.c.id, run.c.job_id, run.c.task, run.c.args, run.c.policy, run.c.scheduled_for,
    run.c.due_at, run.c.cause, run.c.queue, run.c.priority, run.c.attempt, run.c.max_attempts,
    run.c.crashes, run.c.quarantined, run.c.started_at, run.c.token, run.c.claim_id,
    run.c.worker_id, run.c.unique_key, run.c.retaken_key, run.c.traceparent,
)  # fmt: skip
"""The columns that a claim returns: only those that the worker needs."""

ORDER = (run.c.id, run.c.priority, run.c.due_at)


def _claimable(
    known: ColumnElement[bool] | None = None,
) -> tuple[ColumnElement[bool] | TextClause, ...]:
    """Return the conditions of a run that may be claimed.

    It is ready, due, not expired, of a task known here, and not handed to another executor.
    """
    listed = run.c.task.in_(bindparam("tasks", expanding=True))
    return (
        READY,
        _in_queue(),
        run.c.quarantined.is_(False),
        run.c.occupied.is_(False),
        run.c.due_at <= _now(),
        run.c.expires_at.is_(None) | (run.c.expires_at > _now()),
        listed if known is None else known,
    )


def _in_queue() -> ColumnElement[bool]:
    return run.c.queue == bindparam("claim_queue")


def _now() -> BindParameter[Any]:
    return bindparam("now", type_=Instant)
