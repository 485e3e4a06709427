"""Pausing, resuming and removing jobs: one by its id, or all with a tag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from duly.decisions.existing_runs import cancel_live
from duly.decisions.policy import next_fire
from duly.errors import ConfigurationError
from duly.model.actor import Actor
from duly.operations.core import Core
from duly.operations.jobs.cursors import active_or_finished
from duly.operations.jobs.dependencies import catch_up_paused, refuse_children, refuse_in_use
from duly.store import dependencies, jobs, runs
from duly.store.host.session_types import HostSession
from duly.store.jobs import Resumed
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.worker.adaptive_batch import AdaptiveBatch

CODE = "code"
"""The actor that pauses orphans, and jobs that are declared paused."""

UNDECLARED = "no longer declared in code"
"""The reason for which orphans are paused."""

REMOVED = "the job was removed"
"""The reason of runs that are cancelled because their job is removed."""

JOBS_AT_ONCE, RUNS_AT_ONCE, FEW_RUNS = 1000, 1000, 100
"""The maximum number of jobs, and of runs, that one transaction changes; and how many are few."""

Work = Callable[[Transaction, Sequence[str]], int]
"""Changes jobs in one transaction, and returns the number of those that it changed."""


def pause(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    reason: str | None = None,
    actor: str | Actor | None = None,
    session: HostSession | None = None,
) -> int:
    """Pause one job, or all jobs with a tag: they stop firing. Existing runs are not affected.

    A job that is finished, or that cannot be read, is paused like any other: it does not fire until
    it is resumed, whatever is deployed or edited meanwhile. Many jobs are paused in several short
    transactions, or in the caller's, with ``session``.

    Args:
        job_id: the job's id.
        tag: or a tag.
        reason: why, for the dashboard and the audit trail.
        actor: who acts, for the audit trail.
        session: see `add`.

    Returns:
        The number of jobs that were paused by this call.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: both an id and a tag, or neither.
    """

    def work(tx: Transaction, job_ids: Sequence[str]) -> int:
        return pause_jobs(tx, job_ids, tx.because(reason))

    return _change(core, job_id, tag, work, session=session, actor=actor)


def resume(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    actor: str | Actor | None = None,
    session: HostSession | None = None,
) -> int:
    """Resume one paused job, or all with a tag; their ``catch_up`` decides what fell due meanwhile.

    Many jobs are resumed in several short transactions, or in the caller's, with ``session``.

    Args:
        job_id: the job's id.
        tag: or a tag.
        actor: who acts, for the audit trail.
        session: see `add`.

    Returns:
        The number of jobs that were resumed by this call.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: both an id and a tag, or neither.
    """
    return _change(core, job_id, tag, resume_jobs, session=session, actor=actor)


def remove(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    actor: str | Actor | None = None,
    session: HostSession | None = None,
) -> int:
    """Remove one job, or all jobs with a tag.

    Runs that have not started are cancelled; running ones finish. The history of runs is kept. Many
    jobs and runs are removed in several short transactions, or in the caller's, with ``session``.

    Args:
        job_id: the job's id.
        tag: or a tag.
        actor: who acts, for the audit trail.
        session: see `add`.

    Returns:
        The number of jobs that were removed.

    Raises:
        JobNotFound: the job does not exist.
        JobInUse: other jobs run after one of them; remove those first, or all together by a tag.
        ConfigurationError: both an id and a tag, or neither.
    """
    if session is not None:
        return _change(core, job_id, tag, _remove_jobs, session=session, actor=actor)
    chosen = _find(core, job_id, tag)
    related = _check_removal(core, chosen)
    _cancel_most(core, chosen, actor)
    removed = core.transact(lambda tx: _remove_jobs(tx, related), actor=actor) if related else 0
    return removed + _in_batches(core, sorted({*chosen} - {*related}), _remove_jobs, actor)


def _change(
    core: Core,
    job_id: str | None,
    tag: str | None,
    work: Work,
    *,
    session: HostSession | None,
    actor: str | Actor | None,
) -> int:
    if session is None:
        return _in_batches(core, _find(core, job_id, tag), work, actor)
    return core.transact(
        lambda tx: work(tx, _chosen(tx.conn, job_id, tag)), session=session, actor=actor
    )


def pause_jobs(tx: Transaction, job_ids: Sequence[str], reason: str | None) -> int:
    """Pause jobs. Their cursors stay, so that `resume_jobs` decides what fell due meanwhile.

    A job that code has paused becomes paused by the actor, so that it stays paused whatever code
    declares later.
    """
    rows = [
        row
        for row in jobs.lock(tx, job_ids)
        if row.state != "paused" or (row.paused_by == CODE and tx.actor != CODE)
    ]
    paused = [row.id for row in rows]
    jobs.pause(tx, paused, tx.actor, reason)
    tx.record_jobs("job.paused", paused, reason=reason)
    return len(paused)


def resume_jobs(tx: Transaction, job_ids: Sequence[str]) -> int:
    """Resume paused jobs; return the number of them.

    One that cannot be read is unresolved from then on, and one without further times is finished.
    """
    rows = [row for row in jobs.lock(tx, job_ids) if row.state == "paused"]
    alike: dict[Resumed, list[str]] = {}
    for row in rows:
        alike.setdefault(_resumed(row, tx.now), []).append(row.id)
    for resumed, ids in alike.items():
        jobs.resume(tx, ids, resumed)
    tx.record_jobs("job.resumed", [row.id for row in rows])
    for row in rows:
        catch_up_paused(tx, row)
    return len(rows)


def _resumed(row: JobRow, now: datetime) -> Resumed:
    trigger, options, problem = definition_of(row)
    if trigger is None:
        return Resumed("unresolved", problem)
    first = None
    if row.next_fire_at is None and row.unresolved_reason is not None:
        first = next_fire(trigger, options, now)
    return Resumed(active_or_finished(trigger, row.next_fire_at or first), None, first)


def is_paused_by_code(row: JobRow) -> bool:
    """Return whether a job is paused because code no longer declares it."""
    return bool(row.state == "paused" and row.paused_by == CODE and row.paused_reason == UNDECLARED)


def _check_removal(core: Core, job_ids: Sequence[str]) -> list[str]:
    """Return those of the jobs to be removed that are related to others, as parent or child.

    Raises:
        JobInUse: another job runs after one of them.
    """
    with core.store.read() as conn:
        children = dependencies.children_of(conn, job_ids)
        refuse_children(children, job_ids)
        return sorted(children.keys() | dependencies.parents_of(conn, job_ids).keys())


def _cancel_most(core: Core, job_ids: Sequence[str], actor: str | Actor | None) -> None:
    """Cancel the runs of jobs that are about to be removed in short transactions, if many wait."""
    with core.store.read() as conn:
        if len(runs.unstarted_of_jobs(conn, job_ids, FEW_RUNS)) < FEW_RUNS:
            return
    batch = AdaptiveBatch(core.store, RUNS_AT_ONCE)

    def cancel(tx: Transaction) -> int:
        began = core.clock.monotonic()
        cancelled = cancel_live(tx, job_ids, REMOVED, limit=batch.size)
        batch.record(cancelled, core.clock.monotonic() - began)
        return cancelled

    while core.transact(cancel, actor=actor):
        pass


def _remove_jobs(tx: Transaction, job_ids: Sequence[str]) -> int:
    removed = [row.id for row in jobs.lock(tx, job_ids)]
    if removed:
        refuse_in_use(tx, removed)
        cancel_live(tx, removed, REMOVED)
        jobs.remove(tx, removed)
    tx.record_jobs("job.removed", removed)
    return len(removed)


def _in_batches(core: Core, job_ids: Sequence[str], work: Work, actor: str | Actor | None) -> int:
    """Change many jobs in transactions that are short on SQLite (engine rule 27)."""
    batch, done, first = AdaptiveBatch(core.store, JOBS_AT_ONCE), 0, 0
    while first < len(job_ids):
        chosen = job_ids[first : first + batch.size]

        def change(tx: Transaction, chosen: Sequence[str] = chosen) -> int:
            began = core.clock.monotonic()
            changed = work(tx, chosen)
            batch.record(len(chosen), core.clock.monotonic() - began)
            return changed

        done += core.transact(change, actor=actor)
        first += len(chosen)
    return done


def _find(core: Core, job_id: str | None, tag: str | None) -> list[str]:
    with core.store.read() as conn:
        return sorted(_chosen(conn, job_id, tag))


def _chosen(conn: Connection, job_id: str | None, tag: str | None) -> list[str]:
    if tag is not None and job_id is None:
        return jobs.ids_with_tag(conn, tag)
    if job_id is None or tag is not None:
        raise ConfigurationError("give either a job's id or tag=")
    if jobs.find(conn, job_id) is None:
        raise jobs.not_found(conn, job_id)
    return [job_id]
