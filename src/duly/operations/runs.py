"""Enqueueing calls, running jobs now, and steering runs by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from duly.decisions.apply import ClaimOnInsert, cancel_replaced, cancel_unstarted, revive_run
from duly.decisions.policy import admit
from duly.errors import JobNotFound, OverlapError, RunNotFound, StateError
from duly.model import transition
from duly.model.identity import is_id
from duly.model.policy import JobOptions
from duly.model.run import check_move
from duly.model.transition import RunSnapshot
from duly.registry import Task
from duly.store import jobs, runs, transitions
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Change, Origin, new_run, wait_for_slot


@dataclass(frozen=True, slots=True)
class Call:
    """How a task is called durably, once or many times.

    Attributes:
        at: not before this instant; ``None``: at once.
        delay: or not before so long after the present.
        unique: until when unique keys are held: ``until_start`` or ``until_done``.
    """

    task: Task
    options: JobOptions
    at: datetime | None = None
    delay: timedelta | None = None
    unique: str = "until_start"

    @property
    def is_free(self) -> bool:
        """Whether nothing keeps it from starting at once: no time and no limit."""
        return self.at is None and self.delay is None and self.options.concurrency_key is None

    def due(self, now: datetime) -> datetime:
        """When a call that is stored now may start."""
        return max(now if self.at is None else self.at, now) + (self.delay or timedelta())


def enqueue(
    tx: Transaction,
    call: Call,
    args: Sequence[str],
    keys: Sequence[str | None] | None = None,
    claim_on_insert: ClaimOnInsert | None = None,
) -> list[str]:
    """Store calls that differ in their arguments; returns their runs' ids in the same order.

    Args:
        tx: the transaction.
        call: what they have in common.
        args: for each call a JSON text that fits the task.
        keys: for each call its unique key, if it has one: while another run holds that key, the
            other run is meant instead of a new one. ``None``: none has one.
        claim_on_insert: given calls without keys before they are inserted.
    """
    alike = new_run(
        "", Origin("enqueue", tx.actor), task=call.task.name, args="", options=call.options,
        now=tx.now, due_at=call.due(tx.now),
    )  # fmt: skip
    ids = tx.run_ids(len(args))
    rows = [{**alike, "id": run_id, "args": held} for run_id, held in zip(ids, args, strict=True)]
    if keys is None:
        if claim_on_insert is not None and alike["state"] == "ready":
            claim_on_insert(rows)
        runs.add(tx, rows)
        return ids
    for row, key in zip(rows, keys, strict=True):
        if key is not None:
            row["unique_key"], row["unique_scope"] = key, call.unique
    holders = _add_unique(tx, rows)
    return [held if key is None else holders[key] for held, key in zip(ids, keys, strict=True)]


def _add_unique(tx: Transaction, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Store runs whose keys are free; returns who holds each key in the end.

    In the order of the keys, so that two who do so cannot block each other.
    """
    runs.add(tx, [row for row in rows if row["unique_key"] is None])
    keyed = {row["unique_key"]: row for row in reversed(rows) if row["unique_key"] is not None}
    left, holders = sorted(keyed), dict[str, str]()
    for _try in range(3):
        runs.add(tx, [keyed[key] for key in left])
        holders |= runs.holders_of_keys(tx.conn, left)
        left = [key for key in left if key not in holders]
        if not left:
            return holders
    raise StateError(f"unique_key {left[0]!r} is taken and freed by others all the time")


def run_now(tx: Transaction, job_id: str, task: Task, args: str | None) -> str:
    """Make a run of a job outside its schedule; returns the run's id.

    Raises:
        JobNotFound: no such job.
        OverlapError: its overlap policy forbids another run now.
    """
    job = _locked_job(tx, job_id)
    options = definition_of(job).options
    held = runs.occupancy(tx.conn, [job_id])[job_id]
    where = admit(options, "manual", held)
    if where == "skip":
        raise _overlap(job_id, options)
    row = new_run(
        tx.run_id(), Origin("manual", tx.actor, job.id, job.uid, feeds=job.feeds),
        task=task.name, args=args or job.args,
        options=replace(options, expires=None), now=tx.now, due_at=tx.now,
    )  # fmt: skip
    if where == "replace":
        cancel_replaced(tx, [job_id])
    runs.add(tx, [wait_for_slot(row) if where != "ready" else row])
    return str(row["id"])


def cancel(tx: Transaction, run_id: str) -> None:
    """Cancel a run: at once when it has not started, else its function is asked to stop.

    Raises:
        RunNotFound: no such run.
        StateError: it is over.
    """
    row = _locked_run(tx, run_id)
    check_move(run_id, row.state, "cancelled")
    if row.state == "running":
        runs.change(tx, [run_id], cancel_requested=True, reason="cancelled by hand")
        tx.record("run.cancel_requested", job_id=row.job_id, run_id=run_id)
    else:
        cancel_unstarted(tx, [row], "cancelled by hand")


def retry(tx: Transaction, run_id: str) -> None:
    """Start a failed, missed or skipped run again, with as many attempts as it had at first.

    Raises:
        RunNotFound: no such run.
        StateError: it is not over, or it succeeded.
        OverlapError: the job's overlap policy forbids another run now.
    """
    found = runs.find(tx.conn, run_id) if is_id(run_id) else None
    job = _lock_if_stored(tx, found.job_id) if found is not None else None
    row = _locked_run(tx, run_id)
    if row.state not in ("failed", "missed", "skipped"):
        raise StateError(
            f"run {run_id} is {row.state}; only failed, missed or skipped ones restart"
        )
    if job is not None:
        _refuse_overlap(tx, job)
    feeds = job is not None and job.uid == row.job_uid and job.feeds
    revive_run(tx, row, cause="retry_by_hand", actor=tx.actor, feeds=feeds)


def discard(tx: Transaction, run_id: str, reason: str) -> None:
    """Give up a failed run for good.

    Raises:
        RunNotFound: no such run.
        StateError: it has not failed.
    """
    row = _locked_run(tx, run_id)
    if row.state != "failed":
        raise StateError(f"run {run_id} is {row.state}; only failed ones can be discarded")
    transitions.apply(tx, [Change(RunSnapshot.of(row), transition.discard(reason))])


def _lock_if_stored(tx: Transaction, job_id: str | None) -> JobRow | None:
    rows = jobs.lock(tx, [job_id]) if job_id is not None else []
    return rows[0] if rows else None


def _refuse_overlap(tx: Transaction, job: JobRow) -> None:
    options = definition_of(job).options
    if admit(options, "manual", runs.occupancy(tx.conn, [job.id])[job.id]) != "ready":
        raise _overlap(job.id, options)


def _overlap(job_id: str, options: JobOptions) -> OverlapError:
    return OverlapError(
        f"job {job_id!r} has a run that is not over, and its policy is "
        f"overlap={options.overlap!r}; cancel that run or wait for it"
    )


def _locked_job(tx: Transaction, job_id: str) -> JobRow:
    rows = jobs.lock(tx, [job_id])
    if not rows:
        raise JobNotFound(job_id)
    return rows[0]


def _locked_run(tx: Transaction, run_id: str) -> RunRow:
    rows = runs.lock(tx, [run_id]) if is_id(run_id) else []
    if not rows:
        raise RunNotFound(run_id)
    return rows[0]
