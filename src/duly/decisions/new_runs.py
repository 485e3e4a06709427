"""Admit new runs of jobs: they become ready, wait for a slot, or are recorded as skipped."""

from __future__ import annotations

from typing import Any

from duly.decisions.policy import Admission, admit
from duly.model.job import Occupancy
from duly.model.policy import JobOptions
from duly.model.transition import skip
from duly.store.transaction import Transaction
from duly.store.transitions import end_new, wait_for_slot


def admit_new(
    tx: Transaction,
    row: dict[str, Any],
    options: JobOptions,
    occupancy: Occupancy,
    refusal: str | None = None,
) -> Admission:
    """Apply a job's overlap policy to a new run before it is inserted, and record a skipped one.

    The caller inserts the row. If the run replaces others, the caller cancels them first, by
    `cancel_replaced`: both can be done for many runs at once.

    Args:
        tx: a transaction that has locked the job.
        row: see `new_run`; its state is changed as the result says.
        options: the options of the job.
        occupancy: the job's unfinished runs; the new run is added.
        refusal: why the run is skipped whatever the policy says, if it is.
    """
    admission = "skip" if refusal else admit(options, row["cause"], occupancy)
    if admission == "skip":
        reason = refusal or overlap_reason(options)
        end_new(row, skip(reason), options, tx.now)
        tx.record("run.skipped", job_id=row["job_id"], run_id=row["id"], reason=reason)
    elif admission != "ready":
        wait_for_slot(row)
    return admission


def overlap_reason(options: JobOptions) -> str:
    """Return the reason of a run that the overlap policy of its job skips."""
    return f"overlap={options.overlap}: an earlier run is unfinished"
