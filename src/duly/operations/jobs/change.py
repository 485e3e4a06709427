"""Changing a stored job without losing anything that fell due under its old definition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from duly.decisions.policy import next_fire
from duly.errors import JobNotFound
from duly.model.policy import JobOptions, encode_policy
from duly.operations.definition import Definition
from duly.operations.jobs.binding import bind_again
from duly.operations.jobs.cursors import active_or_finished, new_cursor
from duly.store import calendars, jobs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.triggers import Trigger, encode


def change(tx: Transaction, row: JobRow, wanted: Definition, **values: Any) -> list[str]:
    """Change a locked job to match a definition; return the names of the fields that differed.

    An unchanged trigger keeps the job's cursor. Before a new one replaces it, everything that has
    fallen due under the old one is decided.

    Args:
        tx: the transaction.
        row: the job's row.
        wanted: the definition that it must match.
        values: further columns to change.
    """
    differing: list[str] = []
    former_options = definition_of(row).options
    bound, text = bind_again(tx, wanted, row)
    if text != row.trigger:
        differing.append("trigger")
        values |= new_cursor(tx, row, bound, wanted.options)
        values["trigger"] = text
    if wanted.args != row.args:
        differing.append("args")
        values["args"] = wanted.args
    if encode_policy(wanted.options) != row.options:
        differing.append("options")
        if "trigger" not in differing and _bounds(wanted.options) != _bounds(former_options):
            values |= new_cursor(tx, row, bound, wanted.options)
        values |= _new_options(wanted.options, former_options, tx.now)
    if row.state == "unresolved" and "state" not in values:
        values |= _readable_again(row, bound, wanted.options, tx.now)
    if wanted.tags != tuple(jobs.tags_of(tx.conn, [row.id])[row.id]):
        differing.append("tags")
        jobs.set_tags(tx, row.id, wanted.tags)
    if wanted.task != row.task:
        differing.append("task")
    if differing:
        values["revision"] = row.revision + 1
    if differing or values.keys() - {"task"}:
        jobs.change(tx, row.id, values)
    return differing


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
        raise JobNotFound(job_id)
    return rows[0]


def _new_options(options: JobOptions, former: JobOptions, now: datetime) -> dict[str, Any]:
    values = {"options": encode_policy(options), "queue": options.queue}
    # A new watch is due at once: the worker checks its rules and sets the time of the next check.
    return values if options.watch == former.watch else {**values, "watch_at": now}


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
