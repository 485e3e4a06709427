"""Cancel runs that are unfinished, and start runs over that have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError

from duly.errors import StateError
from duly.model.transition import RunSnapshot, cancel, revive
from duly.store import runs, transitions
from duly.store.rows import RunRow
from duly.store.transaction import Transaction
from duly.store.transitions import Change


def cancel_live(
    tx: Transaction, job_ids: Sequence[str], reason: str, limit: int | None = None
) -> int:
    """Cancel the runs of some jobs that have not started, or ``limit`` of them.

    Returns:
        The number of runs that were found.
    """
    unstarted = runs.unstarted_of_jobs(tx.conn, job_ids, limit)
    if unstarted:
        cancel_unstarted(tx, runs.lock(tx, unstarted), reason)
    return len(unstarted)


def cancel_replaced(tx: Transaction, uids: Mapping[str, str]) -> None:
    """Cancel the unfinished runs of some jobs in favour of newer ones, except for backfills.

    The functions of runs that have started are asked to stop.

    Args:
        tx: a transaction that has locked the jobs.
        uids: the uid of each job, by its id.
    """
    reason = "overlap=cancel_running"
    live = [
        row.id
        for row in runs.live_of_jobs(tx.conn, list(uids))
        if row.cause != "backfill" and row.job_uid == uids[row.job_id or ""]
    ]
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

    Raises:
        StateError: another run holds its unique key now, which it would take again.
    """
    apply_revival(tx, row, revival(row, waits=waits, **values))


def revival(row: RunRow, *, waits: bool = False, **values: Any) -> Change:
    """Return the change that lets a run start over; see `revive_run`."""
    also = {**values, "unique_key": row.retaken_key}
    return Change(RunSnapshot.of(row), revive(waits_for_slot=waits), also, {"was": row.state})


def apply_revival(tx: Transaction, row: RunRow, change: Change) -> None:
    """Write the change that lets a run start over; see `revive_run`.

    Raises:
        StateError: another run holds its unique key now, which it would take again.
    """
    key = row.retaken_key
    if key is None:
        transitions.apply(tx, [change])
        return
    try:
        with tx.conn.begin_nested():
            transitions.apply(tx, [change])
    except IntegrityError:
        holder = runs.holders_of_keys(tx.conn, [key]).get(key, "of another transaction")
        raise StateError(
            f"run {row.id} cannot start over: its unique key {key!r} is held by run {holder}; "
            "retry it when that run has finished, or cancel that run first"
        ) from None
