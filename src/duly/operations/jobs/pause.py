"""Pausing, resuming and removing jobs: one by its id, or all that match a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Unpack

from sqlalchemy import Connection

from duly.decisions.existing_runs import cancel_live
from duly.decisions.policy import next_fire
from duly.errors import ConfigurationError
from duly.model.actor import Actor
from duly.operations.batches import ROWS_AT_ONCE, in_batches
from duly.operations.core import Core
from duly.operations.filters import JobFilters, described, job_filter, refuse_empty
from duly.operations.jobs.change import refuse_changed
from duly.operations.jobs.cursors import active_or_finished
from duly.operations.jobs.dependencies import catch_up_paused, refuse_children, refuse_in_use
from duly.store import dependencies, jobs, runs
from duly.store.host.session_types import HostSession
from duly.store.jobs import JobFilter, Matched, Resumed
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.worker.adaptive_batch import AdaptiveBatch

CODE = "code"
"""The actor that pauses orphans, and jobs that are declared paused."""

UNDECLARED = "no longer declared in code"
"""The reason for which orphans are paused."""

REMOVED = "the job was removed"
"""The reason of runs that are cancelled because their job is removed."""

FEW_RUNS = 100
"""The number of runs that are cancelled together with the removal of their jobs."""

Work = Callable[[Transaction, Sequence[str]], int]
"""Changes jobs in one transaction, and returns the number of those that it changed."""


def pause(
    core: Core,
    job_id: str | None = None,
    *,
    reason: str | None = None,
    dry_run: bool = False,
    everything: bool = False,
    actor: str | Actor | None = None,
    session: HostSession | None = None,
    **filters: Unpack[JobFilters],
) -> int:
    """Pause one job, or all that match a filter: they stop firing. Existing runs are not affected.

    A job that is finished, or that cannot be read, is paused like any other: it does not fire until
    it is resumed, whatever is deployed or edited meanwhile. Many jobs are paused in several short
    transactions, or in the caller's, with ``session``.

    Args:
        job_id: the job's id.
        reason: why, for the dashboard and the audit trail.
        dry_run: whether to count the jobs that would be paused, and to change nothing.
        everything: whether to pause all jobs; without an id and filters, this is required.
        actor: who acts, for the audit trail.
        session: see `add`.
        filters: instead of an id: ``tag``, ``state``, ``task``, ``queue``, ``text``, ``failing``,
            as in `jobs`.

    Returns:
        The number of jobs that were paused by this call.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: both an id and a filter, or neither; or a filter is not valid.
        UnknownTask: ``task`` is a function that is not registered.
    """
    chosen = _choose(core, job_id, filters, everything, "pause")
    by = Actor.of(actor)

    def changes(found: Matched) -> bool:
        return _is_pausable(found.state, found.paused_by, by and by.name)

    if dry_run:
        return chosen.count(core, changes, session)

    def work(tx: Transaction, job_ids: Sequence[str]) -> int:
        return pause_jobs(tx, job_ids, tx.because(reason))

    return _change(core, chosen, work, "jobs.paused", session=session, actor=actor)


def resume(
    core: Core,
    job_id: str | None = None,
    *,
    dry_run: bool = False,
    everything: bool = False,
    actor: str | Actor | None = None,
    session: HostSession | None = None,
    **filters: Unpack[JobFilters],
) -> int:
    """Resume one paused job, or all that match a filter.

    Their ``catch_up`` decides what fell due meanwhile. Many jobs are resumed in several short
    transactions, or in the caller's, with ``session``.

    Args:
        job_id: the job's id.
        dry_run: whether to count the jobs that would be resumed, and to change nothing.
        everything: whether to resume all jobs; without an id and filters, this is required.
        actor: who acts, for the audit trail.
        session: see `add`.
        filters: instead of an id: ``tag``, ``state``, ``task``, ``queue``, ``text``, ``failing``,
            as in `jobs`.

    Returns:
        The number of jobs that were resumed by this call.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: both an id and a filter, or neither; or a filter is not valid.
        UnknownTask: ``task`` is a function that is not registered.
    """
    chosen = _choose(core, job_id, filters, everything, "resume")
    if dry_run:
        return chosen.count(core, lambda found: found.state == "paused", session)
    return _change(core, chosen, resume_jobs, "jobs.resumed", session=session, actor=actor)


def remove(
    core: Core,
    job_id: str | None = None,
    *,
    dry_run: bool = False,
    everything: bool = False,
    revision: int | None = None,
    actor: str | Actor | None = None,
    session: HostSession | None = None,
    **filters: Unpack[JobFilters],
) -> int:
    """Remove one job, or all jobs that match a filter.

    Runs that have not started are cancelled; running ones finish. The history of runs is kept. Many
    jobs and runs are removed in several short transactions, or in the caller's, with ``session``.

    Args:
        job_id: the job's id.
        dry_run: whether to count the jobs that would be removed, and to change nothing.
        everything: whether to remove all jobs; without an id and filters, this is required.
        revision: the revision that the caller has read; if a job has changed since, it is kept.
        actor: who acts, for the audit trail.
        session: see `add`.
        filters: instead of an id: ``tag``, ``state``, ``task``, ``queue``, ``text``, ``failing``,
            as in `jobs`.

    Returns:
        The number of jobs that were removed.

    Raises:
        JobNotFound: the job does not exist.
        RevisionConflict: the job has changed since ``revision``.
        JobInUse: other jobs run after one of them; nothing is removed. Remove those first, or all
            together by a filter.
        ConfigurationError: both an id and a filter, or neither; or a filter is not valid.
        UnknownTask: ``task`` is a function that is not registered.
    """
    chosen = _choose(core, job_id, filters, everything, "remove")
    if dry_run:
        return chosen.count(core, lambda _found: True, session)

    def remove_jobs(tx: Transaction, job_ids: Sequence[str]) -> int:
        if revision is not None:
            refuse_changed(jobs.lock(tx, job_ids), revision)
        return remove_all(tx, job_ids)

    if session is not None:
        return _change(core, chosen, remove_jobs, "jobs.removed", session=session, actor=actor)
    job_ids = chosen.ids(core)
    related = _check_removal(core, job_ids)
    if revision is None:  # else nothing may be cancelled before it is compared
        _cancel_most(core, job_ids, actor)
    removed = core.transact(lambda tx: remove_jobs(tx, related), actor=actor) if related else 0
    removed += _in_batches(core, sorted({*job_ids} - {*related}), remove_jobs, actor)
    return chosen.record(core, "jobs.removed", removed, actor)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The jobs to change: one by its id, or those that match a filter."""

    job_id: str | None
    wanted: JobFilter

    def find(self, conn: Connection) -> list[Matched]:
        """Return the jobs, in the order of their ids.

        Raises:
            JobNotFound: there is no job with this id.
        """
        if self.job_id is None:
            return jobs.matching(conn, self.wanted)
        row = jobs.find(conn, self.job_id)
        if row is None:
            raise jobs.not_found(conn, self.job_id)
        return [Matched(row.id, row.state, row.paused_by)]

    def ids(self, core: Core) -> list[str]:
        """Return the ids of the jobs, in order."""
        with core.store.read() as conn:
            return [found.id for found in self.find(conn)]

    def count(
        self, core: Core, changes: Callable[[Matched], bool], session: HostSession | None
    ) -> int:
        """Count the jobs that a call would change."""
        if session is not None:
            return core.transact(lambda tx: sum(map(changes, self.find(tx.conn))), session=session)
        with core.store.read() as conn:
            return sum(map(changes, self.find(conn)))

    def note(self, tx: Transaction, kind: str, changed: int) -> int:
        """Record the change of all that matched, beside the event of each job."""
        if changed and self.job_id is None:
            tx.record(kind, filter=described(self.wanted), changed=changed)
        return changed

    def record(self, core: Core, kind: str, changed: int, actor: str | Actor | None) -> int:
        """Record the change in a transaction of its own."""
        if changed and self.job_id is None:
            core.transact(lambda tx: self.note(tx, kind, changed), actor=actor)
        return changed


def _choose(
    core: Core, job_id: str | None, filters: JobFilters, everything: bool, call: str
) -> _Chosen:
    wanted = job_filter(core.registry, filters)
    if job_id is None:
        refuse_empty(wanted, everything, call)
    elif everything or described(wanted):
        raise ConfigurationError("give either a job's id or filters, such as tag=")
    return _Chosen(job_id, wanted)


def _change(
    core: Core,
    chosen: _Chosen,
    work: Work,
    kind: str,
    *,
    session: HostSession | None,
    actor: str | Actor | None,
) -> int:
    if session is None:
        changed = _in_batches(core, chosen.ids(core), work, actor)
        return chosen.record(core, kind, changed, actor)

    def change(tx: Transaction) -> int:
        return chosen.note(tx, kind, work(tx, [found.id for found in chosen.find(tx.conn)]))

    return core.transact(change, session=session, actor=actor)


def pause_jobs(tx: Transaction, job_ids: Sequence[str], reason: str | None) -> int:
    """Pause jobs. Their cursors stay, so that `resume_jobs` decides what fell due meanwhile.

    A job that code has paused becomes paused by the actor, so that it stays paused whatever code
    declares later.
    """
    rows = [
        row for row in jobs.lock(tx, job_ids) if _is_pausable(row.state, row.paused_by, tx.actor)
    ]
    paused = [row.id for row in rows]
    jobs.pause(tx, paused, tx.actor, reason)
    tx.record_jobs("job.paused", paused, reason=reason)
    return len(paused)


def _is_pausable(state: str, paused_by: str | None, actor: str | Actor | None) -> bool:
    return state != "paused" or (paused_by == CODE and actor != CODE)


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
    batch = AdaptiveBatch(core.store, ROWS_AT_ONCE)

    def cancel(tx: Transaction) -> int:
        began = core.clock.monotonic()
        cancelled = cancel_live(tx, job_ids, REMOVED, limit=batch.size)
        batch.record(cancelled, core.clock.monotonic() - began)
        return cancelled

    while core.transact(cancel, actor=actor):
        pass


def remove_all(tx: Transaction, job_ids: Sequence[str]) -> int:
    """Remove jobs, cancel their runs that have not started, and return the number of jobs.

    Raises:
        JobInUse: another job runs after one of them.
    """
    removed = [row.id for row in jobs.lock(tx, job_ids)]
    if removed:
        refuse_in_use(tx, removed)
        cancel_live(tx, removed, REMOVED)
        jobs.remove(tx, removed)
    tx.record_jobs("job.removed", removed)
    return len(removed)


def _in_batches(core: Core, job_ids: Sequence[str], work: Work, actor: str | Actor | None) -> int:
    changed: list[int] = []
    in_batches(core, job_ids, work, actor, changed.append)
    return sum(changed)
