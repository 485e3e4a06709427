"""Pausing, resuming and removing jobs: one by its id, or all with a tag."""

from __future__ import annotations

from collections.abc import Sequence

from duly.decisions.existing_runs import cancel_live
from duly.errors import ConfigurationError, JobNotFound
from duly.operations.core import Core
from duly.operations.inputs import storable_reason
from duly.operations.jobs.dependencies import catch_up_paused, refuse_in_use
from duly.store import jobs
from duly.store.host.session_types import HostSession
from duly.store.rows import JobRow
from duly.store.transaction import Transaction

CODE = "code"
"""The actor that pauses orphans."""

UNDECLARED = "no longer declared in code"
"""The reason for which orphans are paused."""


def pause(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    reason: str | None = None,
    actor: str | None = None,
    session: HostSession | None = None,
) -> int:
    """Pause one job, or all jobs with a tag: they stop firing. Existing runs are not affected.

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
    return core.transact(
        lambda tx: pause_jobs(tx, _chosen(tx, job_id, tag), storable_reason(reason)),
        session=session,
        actor=actor,
    )


def resume(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    actor: str | None = None,
    session: HostSession | None = None,
) -> int:
    """Resume one paused job, or all with a tag; their ``catch_up`` decides what fell due meanwhile.

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
    return core.transact(
        lambda tx: resume_jobs(tx, _chosen(tx, job_id, tag)), session=session, actor=actor
    )


def remove(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    actor: str | None = None,
    session: HostSession | None = None,
) -> int:
    """Remove one job, or all jobs with a tag.

    Runs that have not started are cancelled; running ones finish. The history of runs is kept.

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
    return core.transact(
        lambda tx: _remove_jobs(tx, _chosen(tx, job_id, tag)), session=session, actor=actor
    )


def pause_jobs(tx: Transaction, job_ids: Sequence[str], reason: str | None) -> int:
    """Pause active jobs. Their cursors stay, so that `resume_jobs` decides what fell due meanwhile.

    An orphan that is paused already becomes paused by the actor, so that it stays paused if code
    declares it again.
    """
    locked = jobs.lock(tx, job_ids)
    rows = [row for row in locked if row.state == "active" or is_paused_by_code(row)]
    for row in rows:
        jobs.change(
            tx, row.id, {"state": "paused", "paused_by": tx.actor, "paused_reason": reason,
            "paused_at": row.paused_at or tx.now, "revision": row.revision + 1},
        )  # fmt: skip
        tx.record("job.paused", job_id=row.id, reason=reason)
    return len(rows)


def resume_jobs(tx: Transaction, job_ids: Sequence[str]) -> int:
    """Resume paused jobs; return the number of them."""
    rows = [row for row in jobs.lock(tx, job_ids) if row.state == "paused"]
    for row in rows:
        jobs.change(
            tx, row.id, {"state": "active", "paused_by": None, "paused_reason": None,
            "paused_at": None, "revision": row.revision + 1, "watched_since": tx.now},
        )  # fmt: skip
        tx.record("job.resumed", job_id=row.id)
        catch_up_paused(tx, row)
    return len(rows)


def is_paused_by_code(row: JobRow) -> bool:
    """Return whether a job is paused because code no longer declares it."""
    return bool(row.state == "paused" and row.paused_by == CODE and row.paused_reason == UNDECLARED)


def _remove_jobs(tx: Transaction, job_ids: Sequence[str]) -> int:
    removed = [row.id for row in jobs.lock(tx, job_ids)]
    if removed:
        refuse_in_use(tx, removed)
        cancel_live(tx, removed, "the job was removed")
        jobs.remove(tx, removed)
    for job_id in removed:
        tx.record("job.removed", job_id=job_id)
    return len(removed)


def _chosen(tx: Transaction, job_id: str | None, tag: str | None) -> list[str]:
    if tag is not None and job_id is None:
        return jobs.ids_with_tag(tx.conn, tag)
    if job_id is None or tag is not None:
        raise ConfigurationError("give either a job's id or tag=")
    if jobs.find(tx.conn, job_id) is None:
        raise JobNotFound(job_id)
    return [job_id]
