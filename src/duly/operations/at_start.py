"""Runs at the start of an application: the jobs that are declared with ``at_start=True``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from duly.decisions.existing_runs import cancel_replaced
from duly.decisions.new_runs import admit_new
from duly.model.policy import JobOptions
from duly.operations.core import Core
from duly.store import jobs, runs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run

TOGETHER = timedelta(minutes=1)
"""Processes that start within this time of each other are one start of their application."""


def run_at_start(core: Core, job_ids: Collection[str] | None = None) -> None:
    """Create the runs of this process's start, unless a process that started with it has.

    They are created for jobs that this process declares, as they are stored: manual edits and
    pauses apply to them, too. A process that does not fire creates none.

    Args:
        core: the core.
        job_ids: the jobs; default: all that this process declares.
    """
    declared = core.declared.keys() if job_ids is None else job_ids
    if not core.settings.fires or not declared:
        return
    with core.store.read() as conn:
        wanted = [row.id for row in jobs.find_many(conn, declared) if _is_wanted(row)]
    created = core.store.run(lambda tx: _create_runs(tx, wanted)) if wanted else 0
    if created:
        core.wake()


def _is_wanted(row: JobRow) -> bool:
    return row.state == "active" and definition_of(row).options.at_start


def _create_runs(tx: Transaction, job_ids: Sequence[str]) -> int:
    """Create a run of each of these jobs that may run now; return the number of runs."""
    locked = jobs.lock(tx, job_ids)
    have = runs.run_at_start_since(tx.conn, job_ids, tx.now - TOGETHER)  # now that they are locked
    created = [row for row in locked if _is_wanted(row) and row.uid not in have]
    for row in created:
        _create_run(tx, row, definition_of(row).options)
    return len(created)


def _create_run(tx: Transaction, row: JobRow, options: JobOptions) -> None:
    run = new_run(
        tx.run_id(), Origin("start", None, row.id, row.uid, feeds=row.feeds),
        task=row.task, args=row.args, options=options, now=tx.now, due_at=tx.now,
    )  # fmt: skip
    occupancy = runs.occupancy(tx.conn, {row.id: row.uid})[row.id]
    if admit_new(tx, run, options, occupancy) == "replace":
        cancel_replaced(tx, {row.id: row.uid})
    runs.add(tx, [run])
