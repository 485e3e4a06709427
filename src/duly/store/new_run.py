"""The row of a run that is about to be stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from duly.model.policy import JobOptions
from duly.model.run import Cause, RunState


@dataclass(slots=True)
class Origin:
    """Where a run comes from.

    Attributes:
        cause: why it exists.
        actor: who asked for it; ``None``: the schedule.
        job_id: its job, with ``job_uid``; ``None``: an enqueued call.
        scheduled_for: the nominal time.
        feeds: whether other jobs come after its job.
        parent_run_id: the run that it comes after.
        cause_key: what makes it the only run of its cause.
    """

    cause: Cause
    actor: str | None = None
    job_id: str | None = None
    job_uid: str | None = None
    scheduled_for: datetime | None = None
    feeds: bool = False
    parent_run_id: str | None = None
    cause_key: str | None = None


def new_run(
    run_id: str,
    origin: Origin,
    *,
    task: str,
    args: str,
    options: JobOptions,
    now: datetime,
    due_at: datetime,
) -> dict[str, Any]:
    """A run that is ready, or scheduled when it is due later; rows of one cause have the same keys.

    Args:
        run_id: see `Transaction.run_id`.
        origin: where it comes from.
        task: the task's name.
        args: its arguments as JSON text.
        options: what its job, or its task, says.
        now: the present.
        due_at: when it may start.
    """
    row = {
        "id": run_id, "job_id": origin.job_id, "job_uid": origin.job_uid, "task": task,
        "args": args, "policy": options.run_policy_text,
        "scheduled_for": origin.scheduled_for, "due_at": due_at, "cause": origin.cause,
        "actor": origin.actor, "queue": options.queue, "priority": options.priority,
        "state": "ready" if due_at <= now else "scheduled",
        "max_attempts": options.run_policy.max_attempts,
        "expires_at": due_at + timedelta(seconds=options.expires) if options.expires else None,
        "waits_for_slot": False, "finished_at": None, "keep_until": None, "reason": None,
        "concurrency_key": options.concurrency_key,
        "unique_key": None, "unique_scope": None, "feeds": origin.feeds,
        "token": 0, "attempt": 0, "claim_id": None, "worker_id": None, "started_at": None,
    }  # fmt: skip
    if origin.cause_key is not None:
        row |= {"parent_run_id": origin.parent_run_id, "cause_key": origin.cause_key}
    return row


def begin(row: dict[str, Any], claim_id: str, worker_id: str, now: datetime) -> dict[str, Any]:
    """The same run, claimed as it is made: what a claim of a ready run writes."""
    row["state"], row["token"], row["attempt"] = "running", 1, 1
    row["claim_id"], row["worker_id"], row["started_at"] = claim_id, worker_id, now
    row["expires_at"] = None
    return row


def wait_for_slot(row: dict[str, Any]) -> dict[str, Any]:
    """The same run, put behind the runs of its job that are not over."""
    row["state"], row["waits_for_slot"] = "scheduled", True
    return row


def never_runs(
    row: dict[str, Any], state: RunState, reason: str, options: JobOptions, now: datetime
) -> dict[str, Any]:
    """The same run as a decision that it will not run: ``missed`` or ``skipped``."""
    row["state"], row["reason"], row["finished_at"] = state, reason, now
    row["keep_until"] = options.run_policy.keep_until(state, now)
    return row
