"""Editing jobs manually, and resetting them to their declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from duly.errors import ConfigurationError, StateError
from duly.model import payload
from duly.model.actor import Actor
from duly.model.job import JobRecord, check_tags
from duly.model.policy import JobOptionFields
from duly.operations.core import Core
from duly.operations.definition import (
    Definition,
    check_trigger,
    declared,
    refuse_at_start,
    trigger_of,
)
from duly.operations.jobs.change import change, lock_job, refuse_changed, refuse_unknown_options
from duly.operations.jobs.cursors import catch_up
from duly.operations.jobs.dependencies import lock_related, relinked
from duly.operations.jobs.find import read_job
from duly.store import jobs
from duly.store.host.session_types import HostSession
from duly.store.rows import JobRow, definition_of, overridden
from duly.store.transaction import Transaction
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome


def edit(
    core: Core,
    /,
    job_id: str,
    *,
    trigger: Trigger | None = None,
    after: Sequence[str] | None = None,
    on: Outcome | None = None,
    args: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    revision: int | None = None,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
    **options: Unpack[JobOptionFields],
) -> JobRecord:
    """Edit a job; the edited fields take precedence over its declaration until `reset`.

    What fell due under the old definition is decided first. The change takes effect at once, here
    and in every other process, and survives restarts. Runs that have not started follow to a new
    queue; whatever else they need was fixed when they were created.

    Args:
        job_id: the job's id.
        trigger: a new trigger; default: unchanged, as for every other field.
        after: instead of a trigger, the ids of the jobs that it runs after from now on.
        on: see `job`.
        args: the new arguments, which replace all the old ones.
        tags: the new tags, which replace all the old ones.
        revision: the revision that the caller has read; if the job has changed since, the edit is
            refused.
        session: see `add`.
        actor: who acts, for the audit trail.
        options: see `JobOptions`.

    Returns:
        The job as it is now.

    Raises:
        JobNotFound: the job does not exist.
        RevisionConflict: the job has changed since ``revision``.
        UnknownTask: the job's task is not registered here.
        ArgumentsError: ``args`` do not match the task's signature.
        ConfigurationError: a new value is not valid.
        DependencyError: ``after`` names an unknown job, or forms a cycle.
        StateError: the stored options cannot be read, because another version of Duly wrote them.
    """
    if after is not None or on is not None:
        trigger = trigger_of(trigger, after, on, options)
    elif trigger is not None:
        check_trigger(trigger)
    given = {"trigger": trigger, "args": args, "tags": tags}

    def store(tx: Transaction) -> JobRecord:
        if trigger is not None:
            lock_related(tx, {job_id: trigger})
        row = lock_job(tx, job_id)
        if row.origin != "code":
            refuse_at_start(options)
        wanted = _edited(core, tx, row, given, options)
        fields = [f"options.{name}" for name in options]
        fields += [name for name, value in given.items() if value is not None]
        _store_edit(tx, row, wanted, fields, revision)
        return read_job(tx.conn, job_id)

    if session is None:
        catch_up(core, [job_id])
    return core.transact(store, session=session, actor=actor)


def reset(
    core: Core, job_id: str, *, session: HostSession | None = None, actor: str | Actor | None = None
) -> JobRecord:
    """Undo all manual edits of a job, so that its declaration in code applies again.

    Args:
        job_id: the job's id.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The job as it is now.

    Raises:
        JobNotFound: the job does not exist.
        StateError: the job is not declared in code.
    """

    def store(tx: Transaction) -> JobRecord:
        _reset(tx, job_id)
        return read_job(tx.conn, job_id)

    if session is None:
        catch_up(core, [job_id])
    return core.transact(store, session=session, actor=actor)


def _edited(
    core: Core,
    tx: Transaction,
    row: JobRow,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Definition:
    """Return the definition of a locked job with the given fields replaced."""
    task = core.registry.get(row.task)
    stored = definition_of(row)
    refuse_unknown_options(row)
    trigger = given["trigger"] if given["trigger"] is not None else stored.trigger
    if trigger is None:
        raise ConfigurationError(f"job {row.id!r} has no readable trigger; give a new one")
    tags = given["tags"] if given["tags"] is not None else jobs.tags_of(tx.conn, [row.id])[row.id]
    return Definition(
        id=row.id,
        task=row.task,
        trigger=trigger,
        args=row.args if given["args"] is None else task.signature.encode(given["args"]),
        options=stored.options.with_overrides(options, f"for job {row.id!r}"),
        tags=check_tags(tags),
        zone=core.settings.timezone,
    )


def _store_edit(
    tx: Transaction,
    row: JobRow,
    wanted: Definition,
    fields: Sequence[str],
    revision: int | None,
) -> None:
    refuse_changed([row], revision)
    values: dict[str, Any] = {}
    if row.origin == "code":
        values["overridden"] = payload.encode(sorted({*overridden(row), *fields}))
    with relinked(tx, {wanted.id: wanted.trigger}):
        differing = change(tx, row, wanted, **values)
    tx.record("job.changed", job_id=row.id, fields=differing, by_hand=True)


def _reset(tx: Transaction, job_id: str) -> None:
    found = jobs.find(tx.conn, job_id)
    if found is None:
        raise jobs.not_found(tx.conn, job_id)
    if found.declared is None:
        raise StateError(f"job {job_id!r} is not declared in code; there is nothing to reset it to")
    lock_related(tx, {job_id: declared(found).trigger})
    row = lock_job(tx, job_id)  # it may have been declared anew since it was found
    with relinked(tx, {job_id: declared(row).trigger}):
        change(tx, row, declared(row), overridden=None)
    tx.record("job.changed", job_id=job_id, reset=list(overridden(row)))
