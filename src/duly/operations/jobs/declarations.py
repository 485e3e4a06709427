"""Bringing what code declares into the database, without undoing what people changed by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from duly.errors import DuplicateJob
from duly.model.release import Release
from duly.operations.jobs.adding import put
from duly.operations.jobs.definition import (
    GONE,
    Definition,
    change,
    declaration_text,
    is_paused_by_code,
    pause,
    resume,
)
from duly.operations.jobs.dependencies import relinked
from duly.registry import Registry
from duly.store import declarations, history, jobs
from duly.store.rows import JobRow, definition_of, event_record, overridden
from duly.store.tables import UNRESOLVED, job
from duly.store.transaction import Transaction


def declare(tx: Transaction, wanted: Mapping[str, Definition], release: Release) -> dict[str, str]:
    """Store the jobs that code declares.

    An unchanged declaration moves nothing, so restarts never postpone a fire, and locks nothing,
    so that a start waits for nobody who fires or completes these jobs. A changed one changes the
    job, except what a hand edit holds, and unless a newer version has declared it. A job that
    returns goes on if it was paused because it had gone.

    Returns:
        The jobs that stay as they are against this declaration, and the version that says so.
    """
    seen = {row.id: row for row in jobs.several(tx.conn, wanted)}
    changed = {
        job_id: definition_
        for job_id, definition_ in sorted(wanted.items())  # one order: else starts deadlock
        if job_id not in seen or not _holds(seen[job_id], definition_, release)
    }
    triggers = {job_id: definition_.trigger for job_id, definition_ in changed.items()}
    newest = declarations.newest(tx.conn, release.app)
    kept: dict[str, str] = {}
    with relinked(tx, triggers, declared=True):
        held = {row.id: row for row in jobs.lock(tx, changed)} if changed else {}
        for job_id, definition_ in changed.items():
            by = _store(tx, held.get(job_id), definition_, release, newest)
            if by is not None:
                kept[job_id] = by
    back = [row.id for row in held.values() if is_paused_by_code(row)]
    if back:
        resume(tx, back)
    declarations.add(tx, release, wanted)
    for job_id, by in kept.items():
        _record_once(tx, "job.kept", job_id, version=release.version or None, by=by)
    return kept


def settle(
    tx: Transaction, release: Release, own: Collection[str], worker_id: str, *, pauses: bool
) -> list[str]:
    """Forget what versions declared that are gone; returns the jobs that nobody declares now.

    Args:
        tx: a transaction of its own, in the name of `CODE`.
        release: this process's.
        own: the jobs that it declares.
        worker_id: its worker.
        pauses: whether orphans are paused.
    """
    seen = {job_id for _version, job_id in declarations.faded(tx.conn, release, own, worker_id)}
    rows = jobs.lock(tx, seen)
    faded = declarations.faded(tx.conn, release, own, worker_id)  # nobody declares these meanwhile
    declarations.remove(tx, release.app, [held for held in faded if held[1] in seen])
    nobodys = set(declarations.orphans(tx.conn, release.app))
    gone = [row.id for row in rows if row.id in nobodys]
    for job_id in gone:
        tx.record("job.orphaned", job_id=job_id, app=release.app, reason=GONE)
    if pauses and gone:
        pause(tx, gone, GONE)
    return gone


def unresolved(conn: Connection) -> bool:
    """Whether any job is unresolved."""
    statement = select(job.c.id).where(UNRESOLVED).limit(1)
    return conn.execute(statement).first() is not None


def revive(tx: Transaction, registry: Registry) -> int:
    """Make unresolved jobs active again that this version can decode; says how many."""
    if not unresolved(tx.conn):  # asked without locks: most of the time there is none
        return 0
    statement = select(job).where(UNRESOLVED, job.c.task.in_(registry.names()))
    revived = 0
    for row in tx.conn.execute(tx.dialect.lock_rows(statement.order_by(job.c.id))).all():
        trigger, _options, problem = definition_of(row)
        if problem is None and trigger is not None:
            values: dict[str, Any] = {"state": "active", "unresolved_reason": None}
            if row.next_fire_at is None:
                values["next_fire_at"] = trigger.next_after(tx.now)
            jobs.change(tx, row.id, values)
            tx.record("job.recovered", job_id=row.id)
            revived += 1
    return revived


def _store(
    tx: Transaction, row: JobRow | None, wanted: Definition, release: Release, newest: str
) -> str | None:
    """Store one declaration, or return the version that is newer and says otherwise."""
    if row is None:
        if release.is_before(newest):
            return newest
        if _first_time(tx, wanted, release):
            return None
        (row,) = jobs.lock(tx, [wanted.id])  # somebody was faster
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
    """Whether a job is as this very release has declared it before."""
    same = row.app == release.app and _version_of(row, release.app) == release.version
    return same and row.declared == declaration_text(wanted) and not is_paused_by_code(row)


def _version_of(row: JobRow, app: str) -> str:
    """The version whose declaration a job follows; another application's are not compared."""
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
    """State a fact about a job unless one of its last ones is the same."""
    wanted = history.EventFilter(kind=kind, job=job_id, newest=True, limit=20)
    told = [event_record(row).detail for row in history.events(tx.conn, wanted)]
    if detail not in told:
        tx.record(kind, job_id=job_id, **detail)


def _with_hand_edits(tx: Transaction, row: JobRow, wanted: Definition) -> Definition:
    """The new declaration where nobody edited, the stored value where somebody did."""
    kept = overridden(row)
    trigger, options, problem = definition_of(row)
    if problem is not None or not kept:
        return wanted
    if "trigger" in kept and trigger is not None:
        wanted = replace(wanted, trigger=trigger)
    if "args" in kept:
        wanted = replace(wanted, args=row.args)
    if "tags" in kept:
        wanted = replace(wanted, tags=tuple(jobs.tags_of(tx.conn, [row.id])[row.id]))
    names = [name.removeprefix("options.") for name in kept if name.startswith("options.")]
    edited = {name: getattr(options, name) for name in names}
    return replace(wanted, options=replace(wanted.options, **edited))
