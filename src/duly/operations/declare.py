"""Declaring tasks and jobs in code, and storing the declarations without undoing manual edits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack, cast, overload

from sqlalchemy import Connection, select

from duly.errors import ConfigurationError, DatabaseUnavailable, DuplicateJob, JobNotFound
from duly.model.checks import choice
from duly.model.job import JobRecord
from duly.model.policy import JobOptionFields, Scope, TaskOptionFields
from duly.model.redefinition import is_newer, module_execution
from duly.model.release import Release
from duly.model.text import safe_repr
from duly.operations.at_start import run_at_start
from duly.operations.core import Core
from duly.operations.decorators import TaskDecorator
from duly.operations.definition import (
    Definition,
    check_trigger,
    declaration_text,
    define,
    is_cron,
    is_declared_paused,
    trigger_of,
)
from duly.operations.enqueue import AwaitableEnqueue, DirectEnqueue
from duly.operations.jobs.add import put
from duly.operations.jobs.change import change
from duly.operations.jobs.cursors import catch_up
from duly.operations.jobs.dependencies import relinked
from duly.operations.jobs.find import job as find_job
from duly.operations.jobs.find import read_job
from duly.operations.jobs.pause import (
    CODE,
    UNDECLARED,
    is_paused_by_code,
    pause_jobs,
    resume_jobs,
)
from duly.operations.process_jobs import declare_process_job, refuse_options
from duly.operations.task_function import TaskFunction
from duly.registry import Registry, SessionFactory, Task
from duly.store import declarations, history, jobs
from duly.store.rows import JobRow, definition_of, event_record, options_problem, overridden
from duly.store.tables import UNRESOLVED
from duly.store.tables import job as job_table
from duly.store.transaction import Transaction
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome

log = logging.getLogger("duly")
UNREADABLE_EDITS = "its manual edits cannot be read by this version"
"""The reason for which a declaration does not replace a stored job."""


def task(
    core: Core,
    name: str | None = None,
    *,
    transactional: bool | SessionFactory = False,
    executor: str = "auto",
    **options: Unpack[TaskOptionFields],
) -> TaskDecorator:
    """Register the decorated function so that it can be enqueued and scheduled.

    Args:
        name: the name under which it is stored in the database; default: the function's name.
        transactional: whether the function receives a session (a parameter annotated ``Session`` or
            ``AsyncSession``), in which the worker commits its work together with its run, exactly
            once. ``True``: a session that Duly creates; or a factory of the host's: a
            ``sessionmaker``, an ``async_sessionmaker``, Flask-SQLAlchemy's ``db.session``, or a
            function that returns a connection of the driver; see `Run.connection`.
        executor: ``auto``: the function runs in a thread, or as a coroutine on the event loop;
            ``process``: a plain function runs in a process of its own, with an interpreter lock of
            its own, and a timeout or a cancellation really ends it; or the name of one of
            ``Scheduler(executors=…)``.
        options: ``queue``, ``priority``, ``retry``, ``timeout``, ``on_crash``, ``expires``,
            ``keep``, ``concurrency_key``, ``ping``: see `JobOptions`.

    Returns:
        A decorator. The decorated function can still be called as before.

    Raises:
        DuplicateTask: the name belongs to another function.
        UnknownOption: there is no task option of this name.
        ConfigurationError: the function, a parameter or an option is not valid.
    """
    if callable(name):
        raise ConfigurationError("write @scheduler.task(), with parentheses")
    if not isinstance(name, str | None):
        raise ConfigurationError(
            f"task({safe_repr(name, 100)}) is not valid; the first argument is the task's name"
        )

    def register(function: Callable[..., Any]) -> TaskFunction[..., ..., Any]:
        registered = core.registry.register(
            function, name=name, options=options, transactional=transactional, executor=executor
        )
        return task_function(core, registered)

    return cast(TaskDecorator, register)


@overload
def job(core: Core, trigger: str) -> JobRecord: ...
@overload
def job(
    core: Core,
    trigger: Trigger | None = None,
    *,
    after: Sequence[str] | None = None,
    on: Outcome | None = None,
    id: str | None = None,
    args: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    paused: bool | str = False,
    scope: Scope = "shared",
    transactional: bool | SessionFactory = False,
    executor: str = "auto",
    **options: Unpack[JobOptionFields],
) -> TaskDecorator: ...
def job(
    core: Core,
    trigger: Trigger | str | None = None,
    *,
    after: Sequence[str] | None = None,
    on: Outcome | None = None,
    id: str | None = None,
    args: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    paused: bool | str = False,
    scope: Scope = "shared",
    transactional: bool | SessionFactory = False,
    executor: str = "auto",
    **options: Unpack[JobOptionFields],
) -> JobRecord | TaskDecorator:
    """Declare a job: ``@scheduler.job(cron("0 9 * * 1-5"))``. Or look one up by its id.

    The declaration is stored when the scheduler starts, or at once if it has started. A
    declaration that has not changed since the last start changes nothing. Manual edits take
    precedence over it until they are reset.

    Args:
        trigger: when the job fires; or the id of the job to look up.
        after: instead of a trigger, the ids of the jobs that this job runs after: with one, after
            each of its runs; with several, when each has run since this job last did.
        on: with ``after``, the outcome of their runs after which it runs: ``success`` (default),
            ``failure`` or ``always``. After another outcome its run is recorded as skipped.
        id: the job's id; default: the task's name.
        args: the arguments of every run.
        tags: labels by which jobs can be found.
        paused: whether it is paused when it is first stored; a text is the reason. A user who
            resumes it takes precedence: a later deploy pauses or resumes it only if ``paused``
            has changed in code.
        scope: ``shared``: the job is stored, and each of its times runs once, in one process.
            ``process``: each process in which a worker runs executes the job for itself, to refresh
            a cache, for example. Nothing of it is stored: no decisions and no runs. It needs no
            database: it begins with the worker's first step, even if the database does not answer
            then, because what it refreshes is needed all the same. It takes no slot of a queue,
            never overlaps with itself in a process and is not retried; `workers` and `health`
            report it. Its options are ``timeout``, ``misfire_grace``, ``jitter`` (which differs
            from process to process), ``start``, ``end`` and ``at_start`` (in each process).
        transactional: see `task`; not accepted for a function that is a task already.
        executor: see `task`; not accepted for a function that is a task already.
        options: see `JobOptions`.

    Returns:
        A decorator; or, for an id, the job.

    Raises:
        JobNotFound: the job to look up does not exist.
        ArgumentsError: ``args`` do not match the function's signature.
        ConfigurationError: the declaration is not valid.
        DependencyError: when it is stored: ``after`` names an unknown job, or forms a cycle.
        UnknownOption: there is no option of this name.
    """
    if callable(trigger):
        raise ConfigurationError(
            "write @scheduler.job(…) with a trigger, such as @scheduler.job(cron('0 9 * * *')); "
            "@scheduler.task() declares a function without a schedule"
        )
    if isinstance(trigger, str):
        given = tags or paused or options or scope != "shared"
        if id is not None or args is not None or given or is_cron(trigger):
            check_trigger(trigger)
        return _look_up(core, trigger)
    choice("shared", "process")("scope", scope)
    chosen = trigger
    if scope == "process":
        placement = {"transactional": transactional, "executor": executor}
        refuse_options(
            {**options, **placement, "after": after, "on": on, "tags": tags, "paused": paused}
        )
    else:
        chosen = trigger_of(trigger, after, on, options)

    def declare(function: Callable[..., Any]) -> TaskFunction[..., ..., Any]:
        decorated = _decorated(core, function, transactional, executor)
        if scope == "process":
            declare_process_job(
                core, decorated.task, chosen, job_id=id or decorated.name, args=args,
                options=options,
            )  # fmt: skip
            return decorated
        wanted = define(
            decorated.task,
            check_trigger(chosen),
            job_id=id or decorated.name,
            args=args,
            tags=tags,
            options=decorated.task.options_over(core.settings.defaults, options),
            zone=core.settings.timezone,
            paused=paused,
        )
        _declare(core, wanted, decorated.task.function)
        return decorated

    return cast(TaskDecorator, declare)


def _look_up(core: Core, job_id: str) -> JobRecord:
    try:
        return find_job(core, job_id)
    except JobNotFound as error:
        declaration = f"@scheduler.job(every(hours=1), id={job_id!r})"
        advice = f"to declare one, give a trigger: {declaration}"
        if job_id in core.process_jobs:
            advice = 'it has scope="process", so that it is not stored: see scheduler.workers()'
        error.args = (f"{error}; {advice}",)
        raise


def _decorated(
    core: Core,
    function: Callable[..., Any],
    transactional: bool | SessionFactory,
    executor: str,
) -> TaskFunction[..., ..., Any]:
    """Return a function as a task of this scheduler, registered now if it is not one yet."""
    if not isinstance(function, TaskFunction):
        return task(core, transactional=transactional, executor=executor)(function)
    if transactional is not False or executor != "auto":
        option = "transactional" if transactional is not False else "executor"
        raise ConfigurationError(
            f"{function.name!r} is a task already; set {option}= where the task is declared"
        )
    return _task_here(core, function)


def task_function(core: Core, registered: Task) -> TaskFunction[..., ..., Any]:
    """Return the decorated form of a task, which stores its calls in this scheduler's database."""
    return TaskFunction(registered, DirectEnqueue(core).enqueue, AwaitableEnqueue(core).enqueue)


def _task_here(core: Core, function: TaskFunction[..., ..., Any]) -> TaskFunction[..., ..., Any]:
    """Return a task of this scheduler; one of another scheduler is registered here as well."""
    declared = function.task
    if core.registry.owns(declared):
        return function
    registered = core.registry.register(
        declared.function,
        name=declared.name,
        options=declared.options,
        transactional=declared.transactional,
        executor=declared.executor,
    )
    return task_function(core, registered)


def declared(core: Core) -> list[Definition]:
    """Return the jobs that code declares, as it declares them."""
    return list(core.declared.values())


def orphans(core: Core) -> list[JobRecord]:
    """Return the orphans: jobs that the code of this application no longer declares.

    A job is an orphan when the newest version does not declare it, and no worker of a version that
    does is alive. It stays stored, and keeps firing unless it is paused.
    """
    with core.store.read() as conn:
        return [read_job(conn, job_id) for job_id in _orphans(core, conn)]


def store_declarations(core: Core) -> None:
    """Store the declarations in code, and activate unresolved jobs that this version can read."""

    def store(tx: Transaction) -> tuple[dict[str, str], list[str]]:
        outdated = _store_all(tx, dict(core.declared), core.settings.release)
        _recover_unresolved(tx, core.registry)
        return outdated, _orphans(core, tx.conn)

    _catch_up_changed(core, core.declared)
    outdated, orphaned = core.store.run(store)
    _warn_outdated(core, outdated)
    _warn_orphans(core, orphaned)


def reconcile(core: Core) -> None:
    """Activate unresolved jobs that this process can read, and find new orphans."""
    release, worker_id = core.settings.release, core.worker.worker_id or ""
    own, pauses = set(core.declared), core.settings.orphans == "pause"
    with core.store.read() as conn:
        unresolved = has_unresolved(conn)
        obsolete = declarations.obsolete(conn, release, own, worker_id)
    if unresolved:
        with core.store.write() as tx:
            _recover_unresolved(tx, core.registry)
    if obsolete:
        orphaned = core.store.run(
            lambda tx: _delete_obsolete(tx, release, own, worker_id, pauses=pauses), actor=CODE
        )
        _warn_orphans(core, orphaned)


def _declare(core: Core, wanted: Definition, function: Callable[..., Any]) -> None:
    """Remember a declaration; after the start it is stored at once.

    A function that was defined again, by a module that was reloaded or a notebook cell that was run
    again, replaces its declarations.
    """
    earlier = core.declared.get(wanted.id) or core.process_jobs.get(wanted.id)
    if earlier not in (None, wanted) and not is_newer(function, *core.declaring[wanted.id]):
        raise ConfigurationError(f"job {wanted.id!r} is declared twice; give one an id=")
    core.process_jobs.pop(wanted.id, None)
    core.declared[wanted.id] = wanted
    core.declaring[wanted.id] = (function, module_execution(function))
    worker = core.worker
    up = worker.alive or core.environment is not None
    if worker.state not in ("starting", "running") and not up:
        return
    try:
        _catch_up_changed(core, {wanted.id: wanted})
        outdated = core.store.run(
            lambda tx: _store_all(tx, {wanted.id: wanted}, core.settings.release)
        )
    except DatabaseUnavailable:
        if up:
            raise
        return  # it is stored with all the others as soon as the database responds
    _warn_outdated(core, outdated)
    if earlier is None and worker.state == "running":
        run_at_start(core, [wanted.id])


def _catch_up_changed(core: Core, wanted: Mapping[str, Definition]) -> None:
    """Decide what fell due for jobs whose declarations have changed, in short transactions."""
    with core.store.read() as conn:
        stored = jobs.find_many(conn, wanted)
    release = core.settings.release
    changed = [row.id for row in stored if not _is_current(row, wanted[row.id], release)]
    if changed:
        catch_up(core, changed)


def _orphans(core: Core, conn: Connection) -> list[str]:
    return declarations.orphans(conn, core.settings.name)


def _warn_orphans(core: Core, job_ids: list[str]) -> None:
    """Log each orphan once per process; the audit trail has one event for all processes."""
    outcome = "is paused" if core.settings.orphans == "pause" else "keeps firing"
    for job_id in job_ids:
        if _is_first(core, "orphan", job_id):
            log.warning(
                "Job %r is no longer declared by the code of %r; it %s until it is removed or "
                "declared again.", job_id, core.settings.name, outcome,
            )  # fmt: skip


def _warn_outdated(core: Core, outdated: Mapping[str, str]) -> None:
    """Log each ignored declaration once per process."""
    for job_id, newer in outdated.items():
        if _is_first(core, "outdated", job_id, newer):
            log.warning(
                "Ignoring this process's declaration of job %r: its version (%s) is older than the "
                "deployed version %s of %r. To roll back, deploy under a higher version.",
                job_id, core.settings.version or "no version", newer, core.settings.name,
            )  # fmt: skip


def _is_first(core: Core, *warning: str) -> bool:
    if warning in core.warned:
        return False
    core.warned.add(warning)
    return True


def _store_all(
    tx: Transaction, wanted: Mapping[str, Definition], release: Release
) -> dict[str, str]:
    """Store the jobs that code declares.

    An unchanged declaration changes nothing, so restarts never postpone a fire, and locks nothing,
    so a start does not wait for workers that fire or complete these jobs. A changed one changes
    the job, except its manual edits, and unless a newer version has declared it. A job that is
    declared again is resumed if it was paused as an orphan.

    Returns:
        The jobs whose declarations were ignored, and the newer version that declares each.
    """
    stored = {row.id: row for row in jobs.find_many(tx.conn, wanted)}
    changed = {
        job_id: definition
        for job_id, definition in sorted(wanted.items())  # in one order, to avoid deadlocks
        if job_id not in stored or not _is_current(stored[job_id], definition, release)
    }
    triggers = {job_id: definition.trigger for job_id, definition in changed.items()}
    newest = declarations.newest(tx.conn, release.app)
    outdated: dict[str, str] = {}
    with relinked(tx, triggers, declared=True):
        locked = {row.id: row for row in jobs.lock(tx, changed)} if changed else {}
        for job_id, definition in changed.items():
            newer = _store(tx, locked.get(job_id), definition, release, newest)
            if newer is not None:
                outdated[job_id] = newer
    redeclared = [row.id for row in locked.values() if is_paused_by_code(row)]
    if redeclared:
        resume_jobs(tx, redeclared)
    declarations.add(tx, release, wanted)
    for job_id, newer in outdated.items():
        _record_once(tx, "job.kept", job_id, version=release.version or None, by=newer)
    return outdated


def _delete_obsolete(
    tx: Transaction, release: Release, own: Collection[str], worker_id: str, *, pauses: bool
) -> list[str]:
    """Delete declarations of versions without workers; return the jobs that became orphans.

    Args:
        tx: a transaction of its own, with the actor `CODE`.
        release: this process's release.
        own: the ids of the jobs that this process declares.
        worker_id: the id of this process's worker.
        pauses: whether orphans are paused.
    """
    unlocked = declarations.obsolete(tx.conn, release, own, worker_id)
    job_ids = {job_id for _version, job_id in unlocked}
    rows = jobs.lock(tx, job_ids)
    obsolete = declarations.obsolete(tx.conn, release, own, worker_id)  # now that they are locked
    declarations.remove(tx, release.app, [key for key in obsolete if key[1] in job_ids])
    undeclared = set(declarations.orphans(tx.conn, release.app))
    orphaned = [row.id for row in rows if row.id in undeclared]
    for job_id in orphaned:
        tx.record("job.orphaned", job_id=job_id, app=release.app, reason=UNDECLARED)
    if pauses and orphaned:
        pause_jobs(tx, orphaned, UNDECLARED)
    return orphaned


def has_unresolved(conn: Connection) -> bool:
    """Return whether any job is unresolved."""
    statement = select(job_table.c.id).where(UNRESOLVED).limit(1)
    return conn.execute(statement).first() is not None


def _recover_unresolved(tx: Transaction, registry: Registry) -> None:
    """Activate the unresolved jobs that this version can read."""
    if not has_unresolved(tx.conn):  # without locks: usually there is none
        return
    statement = select(job_table).where(UNRESOLVED, job_table.c.task.in_(registry.names()))
    for row in tx.conn.execute(tx.dialect.lock_rows(statement.order_by(job_table.c.id))).all():
        trigger, _options, problem = definition_of(row)
        if problem is None and trigger is not None:
            values: dict[str, Any] = {"state": "active", "unresolved_reason": None}
            if row.next_fire_at is None:
                values["next_fire_at"] = trigger.next_after(tx.now)
            jobs.change(tx, row.id, values)
            tx.record("job.recovered", job_id=row.id)


def _store(
    tx: Transaction, row: JobRow | None, wanted: Definition, release: Release, newest: str
) -> str | None:
    """Store one declaration, or return the newer version that declares something else."""
    if row is None:
        if release.is_before(newest):
            return newest
        if _add_declared(tx, wanted, release):
            return None
        (row,) = jobs.lock(tx, [wanted.id])  # another process was faster
    version = _version_of(row, release.app)
    unchanged = row.declared == declaration_text(wanted)
    if release.is_before(version):
        return None if unchanged else version
    if not unchanged:
        _change_declared(tx, row, wanted, release)
    elif version != release.version:
        declarations.adopt(tx, release, row.id, declaration_text(wanted))
    return None


def _is_current(row: JobRow, wanted: Definition, release: Release) -> bool:
    """Return whether a job is stored as wanted, declared by this release, and not an orphan."""
    same = row.app == release.app and _version_of(row, release.app) == release.version
    return same and row.declared == declaration_text(wanted) and not is_paused_by_code(row)


def _version_of(row: JobRow, app: str) -> str:
    """Return the version that last declared a job; empty if it was another application's."""
    return row.declared_version or "" if row.app == app else ""


def _add_declared(tx: Transaction, wanted: Definition, release: Release) -> bool:
    """Add a job that is declared for the first time; return false if it exists by now."""
    try:
        put(tx, [wanted], app=release.app, origin="code", replace=False)
    except DuplicateJob:
        return False
    if release.version:
        declarations.adopt(tx, release, wanted.id, declaration_text(wanted))
    return True


def _change_declared(tx: Transaction, row: JobRow, wanted: Definition, release: Release) -> None:
    merged = _with_manual_edits(tx, row, wanted)
    if merged is None:
        _record_once(
            tx, "job.kept", row.id, reason=f"{UNREADABLE_EDITS}: {definition_of(row).problem}"
        )
        return
    fields = change(tx, row, merged, task=wanted.task)
    _change_pause(tx, row, wanted)
    declarations.adopt(tx, release, wanted.id, declaration_text(wanted))
    if fields:
        tx.record("job.changed", job_id=wanted.id, fields=fields)


def _change_pause(tx: Transaction, row: JobRow, wanted: Definition) -> None:
    """Pause or resume a job if its declaration now says so and did not before.

    A pause by a user stays, and a job that a user has resumed is not paused again.
    """
    was_paused = is_declared_paused(row)
    if wanted.paused and not was_paused and row.state != "paused":
        jobs.pause(tx, [row.id], CODE, wanted.paused_reason)
        tx.record("job.paused", job_id=row.id, reason=wanted.paused_reason)
    elif was_paused and not wanted.paused and row.paused_by == CODE and not is_paused_by_code(row):
        resume_jobs(tx, [row.id])


def _record_once(tx: Transaction, kind: str, job_id: str, **detail: Any) -> None:
    """Record an event of a job unless one of its 20 newest events of this kind is equal."""
    wanted = history.EventFilter(kind=kind, job=job_id, newest=True, limit=20)
    recorded = [event_record(row).detail for row in history.events(tx.conn, wanted)]
    if detail not in recorded:
        tx.record(kind, job_id=job_id, **detail)


def _with_manual_edits(tx: Transaction, row: JobRow, wanted: Definition) -> Definition | None:
    """Return the new declaration with the stored values of the fields that were edited manually.

    ``None``: this version cannot read an edited value, which must not be lost.
    """
    edited = overridden(row)
    trigger, options, _problem = definition_of(row)
    edits_options = any(name.startswith("options.") for name in edited)
    if ("trigger" in edited and trigger is None) or (edits_options and options_problem(row)):
        return None
    if "trigger" in edited and trigger is not None:
        wanted = replace(wanted, trigger=trigger)
    if "args" in edited:
        wanted = replace(wanted, args=row.args)
    if "tags" in edited:
        wanted = replace(wanted, tags=tuple(jobs.tags_of(tx.conn, [row.id])[row.id]))
    names = [name.removeprefix("options.") for name in edited if name.startswith("options.")]
    values = {name: getattr(options, name) for name in names}
    return replace(wanted, options=replace(wanted.options, **values))
