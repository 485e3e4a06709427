"""Saying what a job is; editing, pausing and removing jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duly.decisions.apply import cancel_live
from duly.decisions.policy import next_fire
from duly.errors import ConfigurationError, JobNotFound, RevisionConflict, StateError
from duly.model import payload
from duly.model.identity import new_id
from duly.model.job import check_id, check_tags
from duly.model.policy import JobOptions, decode_options, encode_policy
from duly.operations.jobs.anchors import anchors_in
from duly.operations.jobs.cursors import new_cursor, resting
from duly.operations.jobs.dependencies import catch_up_paused, lock_related, refuse_in_use, relinked
from duly.registry import Task
from duly.store import calendars, jobs
from duly.store.rows import JobRow, definition_of, overridden
from duly.store.transaction import Transaction
from duly.triggers import Trigger, decode, encode

CODE = "code"
"""Who pauses an orphan."""

GONE = "its code does not declare it any more"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a person or a program says about a job.

    Attributes:
        trigger: as written; it is bound (zone, anchor, job id) when it is stored.
        args: JSON text that fits the task.
        options: resolved: defaults, task, job.
        zone: the time zone that an unbound trigger gets.
    """

    id: str
    task: str
    trigger: Trigger
    args: str
    options: JobOptions
    tags: tuple[str, ...]
    zone: str


def define(
    task: Task,
    trigger: Trigger,
    *,
    job_id: str | None,
    args: Mapping[str, Any] | None,
    tags: Sequence[str],
    options: JobOptions,
    zone: str,
) -> Definition:
    """Check what was said about a job.

    Raises:
        ConfigurationError: an id, tag or trigger that cannot be stored.
        ArgumentsError: arguments that do not fit the task.
    """
    if not isinstance(trigger, Trigger):
        raise ConfigurationError(f"{trigger!r} is no trigger; give cron(…), every(…) or at(…)")
    encoded = task.signature.encode(args or {})
    return Definition(
        check_id(job_id if job_id is not None else new_id()), task.name, trigger, encoded,
        options, check_tags(tags), zone,
    )  # fmt: skip


def change(tx: Transaction, row: JobRow, wanted: Definition, **values: Any) -> list[str]:
    """Make a locked job what was wanted; returns the names of what differed.

    A trigger that is the same keeps the job's cursor. Before another one takes its place, what
    fell due under the old one is decided.
    """
    differing: list[str] = []
    held_options = definition_of(row).options
    bound, text = _bound_again(tx, wanted, row)
    if text != row.trigger:
        differing.append("trigger")
        values |= new_cursor(tx, row, bound, wanted.options)
        values["trigger"] = text
    if wanted.args != row.args:
        differing.append("args")
        values["args"] = wanted.args
    if encode_policy(wanted.options) != row.options:
        differing.append("options")
        if "trigger" not in differing and _bounds(wanted.options) != _bounds(held_options):
            values |= new_cursor(tx, row, bound, wanted.options)
        values |= _new_options(wanted.options, held_options, tx.now)
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


def _new_options(options: JobOptions, held: JobOptions, now: datetime) -> dict[str, Any]:
    values = {"options": encode_policy(options), "queue": options.queue}
    # The rules that hold now are looked at by the engine.
    return values if options.watch == held.watch else {**values, "watch_at": now}


def _readable_again(
    row: JobRow, trigger: Trigger, options: JobOptions, now: datetime
) -> dict[str, Any]:
    """The cursor stays where it was: what fell due meanwhile is decided by the catch-up policy."""
    cursor = row.next_fire_at or next_fire(trigger, options, now)
    return {
        "state": resting(trigger, cursor), "next_fire_at": cursor,
        "unresolved_reason": None,
    }  # fmt: skip


def _bounds(options: JobOptions) -> tuple[object, ...]:
    return options.start, options.end, options.max_fires


def rebind(tx: Transaction, row: JobRow) -> None:
    """Let a locked job follow the calendars as they are stored now."""
    trigger, options, _problem = definition_of(row)
    if trigger is None:
        return
    bound = trigger.bind(calendars=calendars.needed_by(tx.conn, row.trigger))
    if encode(bound) == row.trigger:
        return
    cursor = new_cursor(tx, row, bound, options)
    jobs.change(tx, row.id, {**cursor, "trigger": encode(bound), "revision": row.revision + 1})
    tx.record("job.changed", job_id=row.id, fields=["calendar"])


def lock_to_edit(tx: Transaction, job_id: str, trigger: Trigger | None) -> JobRow:
    """Lock a job, and before it whatever its new trigger has to do with.

    Raises:
        JobNotFound: no such job.
    """
    if trigger is not None:
        lock_related(tx, {job_id: trigger})
    return _locked(tx, job_id)


def edit(
    tx: Transaction, wanted: Definition, *, fields: Sequence[str], revision: int | None
) -> None:
    """Change a job by hand: these fields win over its declaration until it is reset.

    Raises:
        JobNotFound: no such job.
        RevisionConflict: somebody changed it since ``revision`` was read.
    """
    row = _locked(tx, wanted.id)
    if revision is not None and row.revision != revision:
        raise RevisionConflict(row.id, revision, row.revision)
    values: dict[str, Any] = {}
    if row.origin == "code":
        names = sorted({*overridden(row), *fields})
        values["overridden"] = payload.encode(names)
    with relinked(tx, {wanted.id: wanted.trigger}):
        held = change(tx, row, wanted, **values)
    tx.record("job.changed", job_id=row.id, fields=held, by_hand=True)


def reset(tx: Transaction, job_id: str) -> None:
    """Drop the hand edits of a job that code declares.

    Raises:
        JobNotFound: no such job.
        StateError: no code declares it.
    """
    row = jobs.find(tx.conn, job_id)
    if row is None:
        raise JobNotFound(job_id)
    if row.declared is None:
        raise StateError(f"job {job_id!r} is not declared in code; there is nothing to go back to")
    with relinked(tx, {job_id: declared(row).trigger}):
        row = _locked(tx, job_id)
        change(tx, row, declared(row), overridden=None)
    tx.record("job.changed", job_id=job_id, reset=list(overridden(row)))


def declared(row: JobRow) -> Definition:
    """A job's last declaration in code."""
    held = payload.decode(row.declared or "null")
    return Definition(
        row.id, held["task"], decode(held["trigger"]), held["args"],
        decode_options(held["options"]), tuple(held["tags"]), held["zone"],
    )  # fmt: skip


def declaration_text(wanted: Definition) -> str:
    """A definition as the text that is stored and compared at the next start."""
    return payload.encode(
        {
            "task": wanted.task, "trigger": encode(wanted.trigger), "args": wanted.args,
            "options": encode_policy(wanted.options), "tags": wanted.tags, "zone": wanted.zone,
        }
    )  # fmt: skip


def pause(tx: Transaction, job_ids: Sequence[str], reason: str | None) -> int:
    """Stop firing; the cursor stays, so that resuming decides the gap.

    A pause that code made becomes the actor's: it is not undone when the declaration returns.
    """
    held = jobs.lock(tx, job_ids)
    rows = [row for row in held if row.state == "active" or is_paused_by_code(row)]
    for row in rows:
        jobs.change(
            tx, row.id, {"state": "paused", "paused_by": tx.actor, "paused_reason": reason,
            "paused_at": row.paused_at or tx.now, "revision": row.revision + 1},
        )  # fmt: skip
        tx.record("job.paused", job_id=row.id, reason=reason)
    return len(rows)


def is_paused_by_code(row: JobRow) -> bool:
    """Whether a job is paused because its code does not declare it any more."""
    return bool(row.state == "paused" and row.paused_by == CODE and row.paused_reason == GONE)


def resume(tx: Transaction, job_ids: Sequence[str]) -> int:
    """Fire again; what fell due meanwhile is decided by the catch-up policy."""
    rows = [row for row in jobs.lock(tx, job_ids) if row.state == "paused"]
    for row in rows:
        jobs.change(
            tx, row.id, {"state": "active", "paused_by": None, "paused_reason": None,
            "paused_at": None, "revision": row.revision + 1, "watched_since": tx.now},
        )  # fmt: skip
        tx.record("job.resumed", job_id=row.id)
        catch_up_paused(tx, row)
    return len(rows)


def remove(tx: Transaction, job_ids: Sequence[str]) -> int:
    """Delete jobs: runs that have not started are cancelled, running ones finish, history stays.

    Raises:
        JobInUse: other jobs come after one of them.
    """
    held = [row.id for row in jobs.lock(tx, job_ids)]
    if held:
        refuse_in_use(tx, held)
        cancel_live(tx, held, "the job was removed", running=False)
        jobs.remove(tx, held)
    for job_id in held:
        tx.record("job.removed", job_id=job_id)
    return len(held)


def _locked(tx: Transaction, job_id: str) -> JobRow:
    rows = jobs.lock(tx, [job_id])
    if not rows:
        raise JobNotFound(job_id)
    return rows[0]


def bind(tx: Transaction, wanted: Definition, anchor: datetime | None) -> tuple[Trigger, str]:
    """The wanted trigger with its open parts filled, and its text."""
    bound = wanted.trigger.bind(job_id=wanted.id, tz=wanted.zone, anchor=anchor)
    text = encode(bound)
    known = calendars.needed_by(tx.conn, text)
    if known is None:
        return bound, text
    bound = bound.bind(calendars=known)
    return bound, encode(bound)


def _bound_again(tx: Transaction, wanted: Definition, row: JobRow) -> tuple[Trigger, str]:
    """The wanted trigger, bound as the stored one is if that makes them the same."""
    for anchor in anchors_in(row.trigger, wanted.zone):
        bound, text = bind(tx, wanted, anchor)
        if text == row.trigger:
            return bound, text
    return bind(tx, wanted, tx.now)
