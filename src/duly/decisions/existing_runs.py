"""Cancel runs that are unfinished, and start runs over that have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duly.model.transition import RunSnapshot, cancel, revive
from duly.store import runs, transitions
from duly.store.rows import RunRow
from duly.store.transaction import Transaction
from duly.store.transitions import Change


def cancel_live(tx: Transaction, job_ids: Sequence[str], reason: str) -> None:
    """Cancel the runs of some jobs that have not started."""
    live = runs.live_of_jobs(tx.conn, job_ids)
    cancel_unstarted(tx, runs.lock(tx, [row.id for row in live]), reason)


def cancel_replaced(tx: Transaction, job_ids: Sequence[str]) -> None:
    """Cancel the unfinished runs of some jobs in favour of newer ones, except for backfills.

    The functions of runs that have started are asked to stop.
    """
    reason = "overlap=cancel_running"
    live = [row.id for row in runs.live_of_jobs(tx.conn, job_ids) if row.cause != "backfill"]
    locked = runs.lock(tx, live)
    cancel_unstarted(tx, locked, reason)
    started = [row.id for row in locked if row.state == "running"]
    if started:
        runs.change(tx, started, cancel_requested=True, reason=reason)


def cancel_unstarted(tx: Transaction, rows: Sequence[RunRow], reason: str) -> None:
    """Cancel those of some locked runs that have not started."""
    unstarted = [row for row in rows if row.state in ("scheduled", "ready")]
    transitions.apply(tx, [Change(RunSnapshot.of(row), cancel(reason)) for row in unstarted])


def revive_run(tx: Transaction, row: RunRow, *, waits: bool = False, **values: Any) -> None:
    """Let a locked run that has ended start over, with its original number of attempts.

    Args:
        tx: a transaction that has also locked the run's job, if the run has one.
        row: the run.
        waits: whether it first waits for a slot of its job.
        values: further columns to change.
    """
    transition = revive(waits_for_slot=waits)
    transitions.apply(tx, [Change(RunSnapshot.of(row), transition, values, {"was": row.state})])
