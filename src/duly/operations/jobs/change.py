"""Changing a stored job without losing anything that fell due under its old definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from duly.decisions.policy import next_fire
from duly.errors import RevisionConflict, StateError
from duly.model.policy import JobOptions, decode_options, encode_policy
from duly.operations.definition import Definition
from duly.operations.jobs.binding import bind_again
from duly.operations.jobs.cursors import active_or_finished, new_cursor
from duly.store import calendars, jobs, runs
from duly.store.rows import JobRow, definition_of, options_problem
from duly.store.transaction import Transaction
from duly.triggers import Trigger, encode


class Changed(NamedTuple):
    """The change of a stored job, which has not been written yet.

    Attributes:
        job_id: the job.
        fields: the names of the fields that differ.
        values: the columns to write.
        tags: its new tags; ``None``: they stay.
        queue: its new queue, to which runs that have not started follow; ``None``: it stays.
    """

    job_id: str
    fields: list[str]
    values: dict[str, Any]
    tags: tuple[str, ...] | None
    queue: str | None


def refuse_changed(rows: Iterable[JobRow], revision: int | None) -> None:
    """Refuse a change of locked jobs that have changed since the caller read ``revision``.

    Raises:
        RevisionConflict: a job has another revision.
    """
    for row in rows:
        if revision is not None and row.revision != revision:
            raise RevisionConflict(row.id, revision, row.revision)


def change(tx: Transaction, row: JobRow, wanted: Definition, **values: Any) -> list[str]:
    """Change a locked job to match a definition; return the names of the fields that differed.

    An unchanged trigger keeps the job's cursor. Before a new one replaces it, everything that has
    fallen due under the old one is decided. Runs that have not started follow to a new queue: the
    old one may have no workers any more.

    Args:
        tx: the transaction.
        row: the job's row.
        wanted: the definition that it must match.
        values: further columns to change.
    """
    tags = jobs.tags_of(tx.conn, [row.id])
    changed = _compare(tx, row, wanted, encode_policy(wanted.options), tags[row.id], values)
    _write(tx, [changed], tags)
    return changed.fields


def change_all(
    tx: Transaction, rows: Sequence[JobRow], wanted: Mapping[str, Definition]
) -> dict[str, list[str]]:
    """Change locked jobs, and their tasks, as `change` does; return the fields by job."""
    tags = jobs.tags_of(tx.conn, [row.id for row in rows])
    options = {id(one.options): one.options for one in wanted.values()}  # many share one value
    texts = {key: encode_policy(value) for key, value in options.items()}
    changed = []
    for row in rows:
        one = wanted[row.id]
        text = texts[id(one.options)]
        changed.append(_compare(tx, row, one, text, tags[row.id], {"task": one.task}))
    _write(tx, changed, tags)
    return {one.job_id: one.fields for one in changed}


def _compare(  # noqa: PLR0917 - what is stored, what is wanted, and what else changes
    tx: Transaction,
    row: JobRow,
    wanted: Definition,
    options: str | None,
    tags: Sequence[str],
    values: dict[str, Any],
) -> Changed:
    differing: list[str] = []
    bound, text = bind_again(tx, wanted, row)
    if text != row.trigger:
        differing.append("trigger")
        values |= new_cursor(tx, row, bound, wanted.options)
        values["trigger"] = text
    if wanted.args != row.args:
        differing.append("args")
        values["args"] = wanted.args
    if options != row.options:
        values |= {"options": options, "queue": wanted.options.queue}
        values["owner"] = wanted.options.owner
        former = JobOptions() if options_problem(row) else decode_options(row.options)
        if "trigger" not in differing and _bounds(wanted.options) != _bounds(former):
            values |= new_cursor(tx, row, bound, wanted.options)
        if wanted.options.watch != former.watch:
            values["watch_at"] = tx.now  # the worker checks it, and sets the time of the next check
        differing.append("options")
    if row.state == "unresolved" and "state" not in values:
        values |= _readable_again(row, bound, wanted.options, tx.now)
    if wanted.tags != tuple(tags):
        differing.append("tags")
    if wanted.task != row.task:
        differing.append("task")
    values |= {"revision": row.revision + 1} if differing else {}
    new_tags = wanted.tags if "tags" in differing else None
    new_queue = wanted.options.queue if wanted.options.queue != row.queue else None
    return Changed(row.id, differing, values, new_tags, new_queue)


def _write(tx: Transaction, changed: Sequence[Changed], tags: Mapping[str, Sequence[str]]) -> None:
    values = {one.job_id: one.values for one in changed if one.values.keys() - {"task"}}
    jobs.change_many(tx, values)
    new_tags = {one.job_id: one.tags for one in changed if one.tags is not None}
    if new_tags:
        jobs.set_tags(tx, new_tags, tags)
    for queue in {one.queue for one in changed if one.queue is not None}:
        runs.move_unstarted(tx, [one.job_id for one in changed if one.queue == queue], queue)


def rebind(tx: Transaction, row: JobRow) -> None:
    """Bind a locked job's trigger to the calendars as they are stored now."""
    trigger, options, _problem = definition_of(row)
    if trigger is None:
        return
    bound = trigger.bind(calendars=calendars.needed_by(tx, row.trigger))
    if encode(bound) == row.trigger:
        return
    cursor = new_cursor(tx, row, bound, options)
    jobs.change(tx, row.id, {**cursor, "trigger": encode(bound), "revision": row.revision + 1})
    tx.record("job.changed", job_id=row.id, fields=["calendar"])


def lock_job(tx: Transaction, job_id: str) -> JobRow:
    """Lock a job's row and return it.

    Raises:
        JobNotFound: the job does not exist.
    """
    rows: Sequence[JobRow] = jobs.lock(tx, [job_id])
    if not rows:
        raise jobs.not_found(tx.conn, job_id)
    return rows[0]


def refuse_unknown_options(row: JobRow) -> None:
    """Refuse what would replace a job's options by defaults, or run it with defaults.

    Raises:
        StateError: the options cannot be read, because another version of Duly wrote them.
    """
    problem = options_problem(row)
    if problem is not None:
        raise StateError(
            f"the options of job {row.id!r} cannot be read by this version of Duly "
            f"({problem}); call this where the version runs that stored them"
        )


def _readable_again(
    row: JobRow, trigger: Trigger, options: JobOptions, now: datetime
) -> dict[str, Any]:
    """Return the columns of a job that was unresolved.

    Its cursor stays, so that the catch-up policy decides what fell due meanwhile.
    """
    cursor = row.next_fire_at or next_fire(trigger, options, now)
    state = active_or_finished(trigger, cursor)
    return {"state": state, "next_fire_at": cursor, "unresolved_reason": None}


def _bounds(options: JobOptions) -> tuple[object, ...]:
    return options.start, options.end, options.max_fires
