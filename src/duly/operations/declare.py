"""Declaring tasks and jobs in code, and storing the declarations without undoing hand edits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack, cast, overload

from sqlalchemy import Connection, select

from duly.errors import ConfigurationError, DatabaseUnavailable, DuplicateJob
from duly.model.job import JobRecord
from duly.model.policy import JobOptionFields, TaskOptionFields
from duly.model.release import Release
from duly.operations.core import Core
from duly.operations.decorators import TaskDecorator
from duly.operations.definition import Definition, declaration_text, define, trigger_of
from duly.operations.enqueue import DirectEnqueue
from duly.operations.jobs.add import put
from duly.operations.jobs.change import change
from duly.operations.jobs.dependencies import relinked
from duly.operations.jobs.find import job as find_job
from duly.operations.jobs.find import read_job
from duly.operations.jobs.pause import CODE, GONE, is_paused_by_code, pause_jobs, resume_jobs
from duly.operations.task_function import TaskFunction
from duly.registry import ExecutorName, Registry, SessionFactory
from duly.store import declarations, history, jobs
from duly.store.rows import JobRow, definition_of, event_record, overridden
from duly.store.tables import UNRESOLVED
from duly.store.tables import job as job_table
from duly.store.transaction import Transaction
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome

log = logging.getLogger("duly")


def task(
    core: Core,
    name: str | None = None,
    *,
    transactional: bool | SessionFactory = False,
    executor: ExecutorName = "auto",
    **options: Unpack[TaskOptionFields],
) -> TaskDecorator:
    """Register the decorated function so that it can be enqueued and scheduled.

    Args:
        name: the name under which the database knows it; default: the function's name.
        transactional: the function gets a session (a parameter annotated ``Session`` or
            ``AsyncSession``), and the worker commits what it does there together with its run,
            exactly once. ``True``: a session of Duly's own; or a factory of the host's: a
            ``sessionmaker``, an ``async_sessionmaker``, Flask-SQLAlchemy's ``db.session``.
        executor: ``process``: a plain function runs in a process of its own, outside this
            interpreter's lock, and a timeout or a cancellation really ends it; ``auto``: in a
            thread, or as a coroutine on the event loop.
        options: ``queue``, ``priority``, ``retry``, ``timeout``, ``on_crash``, ``expires``,
            ``keep``, ``concurrency_key``, ``ping``: see `JobOptions`.

    Returns:
        A decorator. The decorated function can still be called as before.

    Raises:
        DuplicateTask: the name belongs to another function.
        UnknownOption: an option that tasks do not have.
    """
    if callable(name):
        raise ConfigurationError("write @scheduler.task(), with parentheses")

    def register(function: Callable[..., Any]) -> TaskFunction[..., ..., Any]:
        registered = core.registry.register(
            function, name=name, options=options, transactional=transactional, executor=executor
        )

        return TaskFunction(registered, DirectEnqueue(core).enqueue)

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
    transactional: bool | SessionFactory = False,
    executor: ExecutorName = "auto",
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
    transactional: bool | SessionFactory = False,
    executor: ExecutorName = "auto",
    **options: Unpack[JobOptionFields],
) -> JobRecord | TaskDecorator:
    """Declare a job: ``@scheduler.job(cron("0 9 * * 1-5"))``. Or look one up by its id.

    The declaration is stored when the scheduler starts, or at once if it has started. A
    declaration that has not changed since the last start touches nothing; hand edits win over it
    until they are reset.

    Args:
        trigger: when the job fires; or the id of the job to look up.
        after: instead of a trigger: the ids of jobs after whose runs it runs: once for each run
            of one job, or once when each of several has run since it last did.
        on: with ``after``: ``success`` (default), ``failure`` or ``always``: the outcome of their
            runs after which it runs. After another outcome its run is recorded as skipped.
        id: the job's id; default: the task's name.
        args: the arguments of every run.
        tags: labels for finding jobs together.
        transactional: see `task`; a function that is a task already sets it there.
        executor: see `task`; a function that is a task already sets it there.
        options: see `JobOptions`.

    Returns:
        A decorator; with an id, the job.

    Raises:
        JobNotFound: the job to look up does not exist.
        ArgumentsError: ``args`` do not fit the function.
        UnknownOption: an option does not exist.
        DependencyError: at the start: ``after`` names an unknown job, or closes a circle.
    """
    if isinstance(trigger, str):
        return find_job(core, trigger)
    chosen = trigger_of(trigger, after, on, options)

    def declare(function: Callable[..., Any]) -> TaskFunction[..., ..., Any]:
        if not isinstance(function, TaskFunction):
            decorated = task(core, transactional=transactional, executor=executor)(function)
        elif transactional is not False or executor != "auto":
            named = "transactional" if transactional is not False else "executor"
            raise ConfigurationError(
                f"{function.name!r} is a task already; set {named}= where it is made a task"
            )
        else:
            decorated = function
        wanted = define(
            decorated.task,
            chosen,
            job_id=id or decorated.name,
            args=args,
            tags=tags,
            options=decorated.task.options_over(core.settings.defaults, options),
            zone=core.settings.timezone,
        )
        _declare(core, wanted)
        return decorated

    return cast(TaskDecorator, declare)


def declared(core: Core) -> list[Definition]:
    """Return the jobs that code declares, as it declares them."""
    return list(core.declared.values())


def orphans(core: Core) -> list[JobRecord]:
    """Return the jobs that the code of this scheduler's name has declared and no longer does.

    A job is among them when the newest version does not declare it and no worker of another
    version that does is left. It stays, and fires unless it was paused.
    """
    with core.store.read() as conn:
        return [read_job(conn, job_id) for job_id in _orphans(core, conn)]


def store_declarations(core: Core) -> None:
    """Store what code declares, and make jobs active that this version can read again."""

    def store(tx: Transaction) -> tuple[dict[str, str], list[str]]:
        outdated = _store_all(tx, dict(core.declared), core.settings.release)
        _revive(tx, core.registry)
        return outdated, _orphans(core, tx.conn)

    outdated, lost = core.store.run(store)
    _warn_outdated(core, outdated)
    _warn_orphans(core, lost)


def reconcile(core: Core) -> None:
    """Adapt stored jobs to what this process can read and what other versions still declare."""
    release, worker_id = core.settings.release, core.worker.worker_id or ""
    own, pauses = set(core.declared), core.settings.orphans == "pause"
    with core.store.read() as conn:
        unread = unresolved(conn)
        faded = declarations.obsolete(conn, release, own, worker_id)
    if unread:
        with core.store.write() as tx:
            _revive(tx, core.registry)
    if faded:
        lost = core.store.run(
            lambda tx: _forget_obsolete(tx, release, own, worker_id, pauses=pauses), actor=CODE
        )
        _warn_orphans(core, lost)


def _declare(core: Core, wanted: Definition) -> None:
    """Remember a declaration; after the start it is stored at once."""
    if core.declared.get(wanted.id, wanted) != wanted:
        raise ConfigurationError(f"job {wanted.id!r} is declared twice; give one an id=")
    core.declared[wanted.id] = wanted
    worker = core.worker
    if worker.state not in ("starting", "running") and not worker.alive:
        return
    try:
        outdated = core.store.run(
            lambda tx: _store_all(tx, {wanted.id: wanted}, core.settings.release)
        )
    except DatabaseUnavailable:
        if worker.alive:
            raise
        return  # it is stored with all the others as soon as the database answers
    _warn_outdated(core, outdated)


def _orphans(core: Core, conn: Connection) -> list[str]:
    return declarations.orphans(conn, core.settings.name)


def _warn_orphans(core: Core, job_ids: list[str]) -> None:
    """Log each orphan once in each process; the audit trail has it once for all of them."""
    outcome = "is paused" if core.settings.orphans == "pause" else "keeps firing"
    for job_id in job_ids:
        if _is_first(core, "orphan", job_id):
            log.warning(
                "Job %r was declared by the code of %r and no longer is; it %s until it is removed "
                "or declared again.", job_id, core.settings.name, outcome,
            )  # fmt: skip


def _warn_outdated(core: Core, outdated: Mapping[str, str]) -> None:
    """Log each ignored declaration once in each process."""
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

    An unchanged declaration moves nothing, so restarts never postpone a fire, and locks nothing,
    so a start does not wait for workers that fire or complete these jobs. A changed one changes
    the job, except its hand edits, and unless a newer version has declared it. A job that is
    declared again is resumed if it was paused because its code had gone.

    Returns:
        The jobs whose declarations were ignored, and the newer version that declares each.
    """
    seen = {row.id: row for row in jobs.find_many(tx.conn, wanted)}
    changed = {
        job_id: definition_
        for job_id, definition_ in sorted(wanted.items())  # one order: else starts deadlock
        if job_id not in seen or not _holds(seen[job_id], definition_, release)
    }
    triggers = {job_id: definition_.trigger for job_id, definition_ in changed.items()}
    newest = declarations.newest(tx.conn, release.app)
    outdated: dict[str, str] = {}
    with relinked(tx, triggers, declared=True):
        locked = {row.id: row for row in jobs.lock(tx, changed)} if changed else {}
        for job_id, definition_ in changed.items():
            newer = _store(tx, locked.get(job_id), definition_, release, newest)
            if newer is not None:
                outdated[job_id] = newer
    returned = [row.id for row in locked.values() if is_paused_by_code(row)]
    if returned:
        resume_jobs(tx, returned)
    declarations.add(tx, release, wanted)
    for job_id, newer in outdated.items():
        _record_once(tx, "job.kept", job_id, version=release.version or None, by=newer)
    return outdated


def _forget_obsolete(
    tx: Transaction, release: Release, own: Collection[str], worker_id: str, *, pauses: bool
) -> list[str]:
    """Forget the declarations of versions that are gone; return the jobs that became orphans.

    Args:
        tx: a transaction of its own, with the actor `CODE`.
        release: this process's release.
        own: the jobs that it declares.
        worker_id: its worker.
        pauses: whether orphans are paused.
    """
    seen = {job_id for _version, job_id in declarations.obsolete(tx.conn, release, own, worker_id)}
    rows = jobs.lock(tx, seen)
    faded = declarations.obsolete(tx.conn, release, own, worker_id)  # their rows are locked now
    declarations.remove(tx, release.app, [stored for stored in faded if stored[1] in seen])
    undeclared = set(declarations.orphans(tx.conn, release.app))
    gone = [row.id for row in rows if row.id in undeclared]
    for job_id in gone:
        tx.record("job.orphaned", job_id=job_id, app=release.app, reason=GONE)
    if pauses and gone:
        pause_jobs(tx, gone, GONE)
    return gone


def unresolved(conn: Connection) -> bool:
    """Return whether any job is unresolved."""
    statement = select(job_table.c.id).where(UNRESOLVED).limit(1)
    return conn.execute(statement).first() is not None


def _revive(tx: Transaction, registry: Registry) -> None:
    """Make unresolved jobs active that this version can read."""
    if not unresolved(tx.conn):  # asked without locks: most of the time there is none
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
        if _first_time(tx, wanted, release):
            return None
        (row,) = jobs.lock(tx, [wanted.id])  # another process was faster
    by = _version_of(row, release.app)
    same = row.declared == declaration_text(wanted)
    if release.is_before(by):
        return None if same else by
    if not same:
        _again(tx, row, wanted, release)
    elif by != release.version:
        declarations.adopt(tx, release, row.id, declaration_text(wanted))
    return None


def _holds(row: JobRow, wanted: Definition, release: Release) -> bool:
    """Return whether a job is stored as this very release has declared it."""
    same = row.app == release.app and _version_of(row, release.app) == release.version
    return same and row.declared == declaration_text(wanted) and not is_paused_by_code(row)


def _version_of(row: JobRow, app: str) -> str:
    """Return the version whose declaration a job follows; other applications are not compared."""
    return row.declared_version or "" if row.app == app else ""


def _first_time(tx: Transaction, wanted: Definition, release: Release) -> bool:
    try:
        put(tx, [wanted], app=release.app, origin="code", replace=False)
    except DuplicateJob:
        return False
    if release.version:
        declarations.adopt(tx, release, wanted.id, declaration_text(wanted))
    return True


def _again(tx: Transaction, row: JobRow, wanted: Definition, release: Release) -> None:
    merged = _with_hand_edits(tx, row, wanted)
    fields = change(tx, row, merged, task=wanted.task)
    declarations.adopt(tx, release, wanted.id, declaration_text(wanted))
    if fields:
        tx.record("job.changed", job_id=wanted.id, fields=fields)


def _record_once(tx: Transaction, kind: str, job_id: str, **detail: Any) -> None:
    """Record an event of a job unless one of its last ones is equal."""
    wanted = history.EventFilter(kind=kind, job=job_id, newest=True, limit=20)
    recorded = [event_record(row).detail for row in history.events(tx.conn, wanted)]
    if detail not in recorded:
        tx.record(kind, job_id=job_id, **detail)


def _with_hand_edits(tx: Transaction, row: JobRow, wanted: Definition) -> Definition:
    """Return the new declaration with the stored values of the fields that were edited by hand."""
    edited = overridden(row)
    trigger, options, problem = definition_of(row)
    if problem is not None or not edited:
        return wanted
    if "trigger" in edited and trigger is not None:
        wanted = replace(wanted, trigger=trigger)
    if "args" in edited:
        wanted = replace(wanted, args=row.args)
    if "tags" in edited:
        wanted = replace(wanted, tags=tuple(jobs.tags_of(tx.conn, [row.id])[row.id]))
    names = [name.removeprefix("options.") for name in edited if name.startswith("options.")]
    values = {name: getattr(options, name) for name in names}
    return replace(wanted, options=replace(wanted.options, **values))
