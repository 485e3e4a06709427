"""Pausing, resuming and removing jobs: one by its id, or all with a tag."""

from __future__ import annotations

from collections.abc import Sequence

from duly.decisions.apply import cancel_live
from duly.errors import ConfigurationError, JobNotFound
from duly.operations.core import Core
from duly.operations.inputs import storable_reason
from duly.operations.jobs.dependencies import catch_up_paused, refuse_in_use
from duly.store import jobs
from duly.store.host.session_types import HostSession
from duly.store.rows import JobRow
from duly.store.transaction import Transaction

CODE = "code"
"""The actor that pauses an orphan."""

GONE = "its code does not declare it any more"


def pause(
    core: Core,
    job_id: str | None = None,
    *,
    tag: str | None = None,
    reason: str | None = None,
    actor: str | None = None,
    session: HostSession | None = None,
) -> int:
    """Stop firing one job, or all jobs with a tag. Runs that are ready or running continue.

    Args:
        job_id: the job's id.
        tag: or a tag.
        reason: why, for the dashboard and the audit trail.
        actor: who acts, for the audit trail.
        session: see `add`.

    Returns:
        The number of jobs that were active.

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
    """Fire again; each job's ``catch_up`` policy decides what fell due meanwhile.

    Args:
        job_id: the job's id.
        tag: or a tag.
        actor: who acts, for the audit trail.
        session: see `add`.

    Returns:
        The number of jobs that were paused.

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
    """Delete one job, or all jobs with a tag.

    Runs that have not started are cancelled, running ones finish, and history stays.

    Args:
        job_id: the job's id.
        tag: or a tag.
        actor: who acts, for the audit trail.
        session: see `add`.

    Returns:
        The number of jobs that were deleted.

    Raises:
        JobNotFound: the job does not exist.
        JobInUse: other jobs run after it; remove them first, or together by a tag.
        ConfigurationError: both an id and a tag, or neither.
    """
    return core.transact(
        lambda tx: _remove_jobs(tx, _chosen(tx, job_id, tag)), session=session, actor=actor
    )


def pause_jobs(tx: Transaction, job_ids: Sequence[str], reason: str | None) -> int:
    """Pause active jobs; their cursors stay, so that resuming decides the gap.

    A pause that code made becomes the actor's: it is not undone when the declaration returns.
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
    """Make paused jobs active again."""
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
    """Return whether a job is paused because its code does not declare it any more."""
    return bool(row.state == "paused" and row.paused_by == CODE and row.paused_reason == GONE)


def _remove_jobs(tx: Transaction, job_ids: Sequence[str]) -> int:
    found = [row.id for row in jobs.lock(tx, job_ids)]
    if found:
        refuse_in_use(tx, found)
        cancel_live(tx, found, "the job was removed", running=False)
        jobs.remove(tx, found)
    for job_id in found:
        tx.record("job.removed", job_id=job_id)
    return len(found)


def _chosen(tx: Transaction, job_id: str | None, tag: str | None) -> list[str]:
    if tag is not None and job_id is None:
        return jobs.ids_with_tag(tx.conn, tag)
    if job_id is None or tag is not None:
        raise ConfigurationError("give either a job's id or tag=")
    if jobs.find(tx.conn, job_id) is None:
        raise JobNotFound(job_id)
    return [job_id]
