"""Adding jobs: one, or many in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Unpack

from duly.decisions.policy import first_fire
from duly.errors import ConfigurationError, DulyError, DuplicateJob, JobNotFound
from duly.model.actor import Actor
from duly.model.identity import new_id
from duly.model.job import JobRecord, Origin
from duly.model.policy import JobOptionFields, JobOptions, encode_policy
from duly.model.zone_data import tzdb_version
from duly.operations.core import Core
from duly.operations.definition import (
    Definition,
    declaration_text,
    define,
    refuse_at_start,
    trigger_of,
)
from duly.operations.inputs import with_position
from duly.operations.jobs.binding import bind
from duly.operations.jobs.change import change_all, refuse_changed
from duly.operations.jobs.cursors import active_or_finished, catch_up
from duly.operations.jobs.dependencies import parents_in, relinked
from duly.operations.jobs.find import read_job
from duly.operations.jobs.pause import CODE
from duly.registry import AnyTask, Task
from duly.store import dependencies, jobs
from duly.store.host.session_types import HostSession
from duly.store.rows import new_job_record
from duly.store.transaction import Transaction
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome

Resolved = dict[tuple[Any, ...], JobOptions]
"""Effective options that have been resolved already, by task and by the options of a job."""


def add(
    core: Core,
    /,
    task: AnyTask,
    trigger: Trigger | None = None,
    *,
    after: Sequence[str] | None = None,
    on: Outcome | None = None,
    id: str | None = None,
    args: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    paused: bool | str = False,
    replace: bool = False,
    revision: int | None = None,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
    **options: Unpack[JobOptionFields],
) -> JobRecord:
    """Store a job. It is durable when this returns; with ``session``, when the caller commits.

    Args:
        task: a registered function or its name.
        trigger: when the job fires.
        after: instead of a trigger, as in `job`; these jobs must be stored already.
        on: see `job`.
        id: the job's id; default: a random one.
        args: the arguments of every run.
        tags: labels by which jobs can be found.
        paused: whether it is paused from the beginning, until it is resumed; a text is the reason.
            It does not apply to a job that exists already.
        replace: whether to change the job with this id if it exists; an unchanged trigger keeps
            the job's next fire.
        revision: with ``replace``, the revision that the caller has read; if the job has changed
            or was removed since, nothing is stored.
        session: an SQLAlchemy session or connection on the same database, or a connection of its
            driver, whose transaction the job becomes part of. An asyncio session needs
            ``scheduler.aio``.
        actor: who acts, for the audit trail.
        options: see `JobOptions`.

    Returns:
        The job as it is stored.

    Raises:
        DuplicateJob: the id is taken and ``replace`` is false.
        RevisionConflict: the job has changed since ``revision``.
        JobNotFound: there is no job with this ``revision``.
        DependencyError: ``after`` names an unknown job, or forms a cycle.
        UnknownTask: the function is not registered.
        ArgumentsError: ``args`` do not match the function's signature.
        ConfigurationError: the id, a tag, the trigger or the value of an option is not valid.
        UnknownOption: there is no option of this name.
        DatabaseUnavailable: the database does not respond.
    """
    registered = core.registry.find(task)
    refuse_at_start(options)
    wanted = define(
        registered,
        trigger_of(trigger, after, on, options),
        job_id=id,
        args=args,
        tags=tags,
        options=registered.options_over(core.settings.defaults, options),
        zone=core.settings.timezone,
        paused=paused,
    )

    def store(tx: Transaction) -> JobRecord:
        new = store_jobs(
            tx, [wanted], app=core.settings.name, origin="api", replace=replace, revision=revision
        ).added
        if wanted.id in new and not wanted.paused:
            return new_job_record(new[wanted.id], wanted.tags)
        return read_job(tx.conn, wanted.id)

    if replace and session is None:
        catch_up(core, [wanted.id])
    return core.transact(store, session=session, actor=actor)


def add_many(
    core: Core,
    jobs: Iterable[Mapping[str, Any]],
    /,
    *,
    replace: bool = False,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> list[str]:
    """Store many jobs in one transaction: all of them, or none.

    On SQLite all other writers wait for it; a few thousand jobs at a time are reasonable.

    Args:
        jobs: for each job, the arguments of `add` by name: ``{"task": remind, "trigger":
            every(hours=1), "id": "remind-7", "args": {"user": 7}, "tags": ["user:7"], …}``.
        replace: whether to change the jobs that exist already, as `add` does.
        session: see `add`.
        actor: see `add`.

    Returns:
        The jobs' ids in the given order.

    Raises:
        ConfigurationError: two jobs have the same id, or an item is not a job.
        DuplicateJob: an id is taken and ``replace`` is false.
        DulyError: any error of `add`. Its message begins with the position and the id of the job:
            ``jobs[3] ('remind-7'): …``.
    """
    wanted = define_all(core, list(jobs))
    positions = {definition.id: index for index, definition in enumerate(wanted)}

    def store(tx: Transaction) -> None:
        store_jobs(tx, wanted, app=core.settings.name, origin="api", replace=replace)

    if replace and session is None:
        catch_up(core, list(positions))
    try:
        core.transact(store, session=session, actor=actor)
    except DuplicateJob as error:
        raise with_position(error, f"jobs[{positions[error.job_id]}] ({error.job_id!r})")  # noqa: B904 - it is the same error
    return list(positions)


def define_all(core: Core, items: Sequence[Any]) -> list[Definition]:
    """Return the definitions of jobs that are given as the arguments of `add`.

    Raises:
        ConfigurationError: two jobs have the same id, or an item is not a job.
        DulyError: any error of `add`, with the position and the id of the job in front.
    """
    resolved: Resolved = {}
    wanted: list[Definition] = []
    for index, item in enumerate(items):
        try:
            wanted.append(_define(core, item, resolved))
        except DulyError as error:
            job_id = item.get("id") if isinstance(item, Mapping) else None
            position = f"jobs[{index}]" if job_id is None else f"jobs[{index}] ({job_id!r})"
            raise with_position(error, position)  # noqa: B904 - it is the same error
    positions = {definition.id: index for index, definition in enumerate(wanted)}
    for index, definition in enumerate(wanted):
        if positions[definition.id] != index:
            raise ConfigurationError(
                f"jobs[{index}] ({definition.id!r}): jobs[{positions[definition.id]}] "
                "has the same id"
            )
    return wanted


def _define(core: Core, item: Any, resolved: Resolved) -> Definition:
    if not isinstance(item, Mapping) or "task" not in item:
        raise ConfigurationError(
            'give each job as the arguments of add: {"task": …, "trigger": …, "id": …}'
        )
    options = dict(item)
    task = core.registry.find(options.pop("task"))
    refuse_at_start(options)
    trigger, after, on = (options.pop(name, None) for name in ("trigger", "after", "on"))
    job_id, args, tags = options.pop("id", None), options.pop("args", None), options.pop("tags", ())
    paused = options.pop("paused", False)
    return define(
        task,
        trigger_of(trigger, after, on, options),
        job_id=job_id,
        args=args,
        tags=tags,
        options=_resolve(core, task, options, resolved),
        zone=core.settings.timezone,
        paused=paused,
    )


def _resolve(core: Core, task: Task, options: Mapping[str, Any], resolved: Resolved) -> JobOptions:
    """Return a job's effective options, resolved once for all jobs of a task with equal ones."""
    key = (task.name, *options.items(), *map(type, options.values()))  # True equals 1
    try:
        effective = resolved.get(key)
    except TypeError:  # an unhashable value, such as a dict
        return task.options_over(core.settings.defaults, options)
    if effective is None:
        effective = resolved[key] = task.options_over(core.settings.defaults, options)
    return effective


class Stored(NamedTuple):
    """What storing jobs has done.

    Attributes:
        added: the rows of the new jobs, by id.
        changed: the ids of those that existed and differed.
    """

    added: dict[str, dict[str, Any]]
    changed: list[str]


def store_jobs(
    tx: Transaction,
    wanted: Sequence[Definition],
    *,
    app: str,
    origin: Origin,
    replace: bool,
    revision: int | None = None,
) -> Stored:
    """Store jobs with different ids, or change those that exist already.

    Raises:
        DuplicateJob: an id is taken and ``replace`` is false; it names the first such job.
        RevisionConflict, JobNotFound: a job that exists has another revision, or there is none.
        DependencyError: a job cannot run after the jobs that it names.
    """
    with _relinked(tx, wanted, replace):
        stored = put(tx, wanted, app=app, origin=origin, replace=replace, revision=revision)
    if revision is not None and stored.added:
        raise JobNotFound(next(iter(stored.added)))
    return stored


def put(
    tx: Transaction,
    wanted: Sequence[Definition],
    *,
    app: str,
    origin: Origin,
    replace: bool,
    revision: int | None = None,
) -> Stored:
    """Store jobs as `store_jobs` does, inside the caller's `relinked`."""
    by_id = {job.id: job for job in sorted(wanted, key=lambda job: job.id)}
    options = {id(job.options): job.options for job in wanted}  # many jobs usually share one value
    encoded = {key: encode_policy(value) for key, value in options.items()}

    def insert(job_ids: Iterable[str]) -> set[str]:
        """Insert jobs; return those of them whose ids are taken."""
        new = [by_id[job_id] for job_id in job_ids]
        made = {job.id: _new_row(tx, job, encoded[id(job.options)], app, origin) for job in new}
        taken = jobs.add_many(tx, list(made.values()), {job.id: job.tags for job in new})
        rows.update((job_id, row) for job_id, row in made.items() if job_id not in taken)
        return taken

    rows: dict[str, dict[str, Any]] = {}
    existing = jobs.stored(tx.conn, list(by_id)) if replace else set[str]()
    taken = existing | insert(job_id for job_id in by_id if job_id not in existing)
    if taken and not replace:
        raise DuplicateJob(next(job.id for job in wanted if job.id in taken))
    locked = jobs.lock(tx, taken) if taken else []
    if len(locked) < len(taken):  # some have been removed since
        again = insert(sorted(taken - {row.id for row in locked}))
        locked = jobs.lock(tx, taken - rows.keys())
        for job_id in sorted(again - {row.id for row in locked}):
            raise jobs.not_found(tx.conn, job_id)
    refuse_changed(locked, revision)
    tx.record_jobs("job.added", (job.id for job in wanted if job.id in rows), origin=origin)
    _pause_new(tx, [by_id[job_id] for job_id in rows], CODE if origin == "code" else tx.actor)
    changes = change_all(tx, locked, by_id) if locked else {}
    _record_changes(tx, changes)
    return Stored(rows, [job_id for job_id, fields in changes.items() if fields])


def _pause_new(tx: Transaction, added: Iterable[Definition], actor: str | None) -> None:
    alike: dict[str | None, list[str]] = {}
    for job in added:
        if job.paused:
            alike.setdefault(job.paused_reason, []).append(job.id)
    for reason, job_ids in alike.items():
        jobs.pause(tx, job_ids, actor, reason)
        tx.record_jobs("job.paused", job_ids, reason=reason)


def _record_changes(tx: Transaction, changed: Mapping[str, Sequence[str]]) -> None:
    alike: dict[tuple[str, ...], list[str]] = {}
    for job_id, fields in changed.items():
        alike.setdefault(tuple(fields), []).append(job_id)
    for names, job_ids in alike.items():
        if names:
            tx.record_jobs("job.changed", job_ids, fields=list(names))


def _relinked(
    tx: Transaction, wanted: Sequence[Definition], replace: bool
) -> AbstractContextManager[None]:
    """Apply `relinked` to the jobs that depend, or depended, on others; usually there is none."""
    parents = {job.id: parents_in(job.trigger) for job in wanted}
    related = {name for name, names in parents.items() if names}.union(*parents.values())
    if replace:
        related |= dependencies.parents_of(tx.conn, list(parents)).keys()
    triggers = {job.id: job.trigger for job in wanted if job.id in related}
    return relinked(tx, triggers, replace=replace) if triggers else nullcontext()


def _new_row(
    tx: Transaction, wanted: Definition, options: str | None, app: str, origin: Origin
) -> dict[str, Any]:
    trigger, text = bind(tx, wanted, tx.now)
    first = first_fire(trigger, wanted.options, tx.now)
    return {
        "id": wanted.id, "uid": new_id(), "app": app, "task": wanted.task, "args": wanted.args,
        "trigger": text, "options": options,
        "queue": wanted.options.queue, "owner": wanted.options.owner,
        "state": active_or_finished(trigger, first), "next_fire_at": first, "origin": origin,
        "declared": declaration_text(wanted) if origin == "code" else None,
        "revision": 1, "tzdb": tzdb_version(), "created_at": tx.now, "updated_at": tx.now,
        "watched_since": tx.now, "watch_at": tx.now if wanted.options.watch else None,
    }  # fmt: skip
