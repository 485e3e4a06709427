"""Cancel, retry or discard all runs that match a filter, in short transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Unpack

from duly.decisions.existing_runs import apply_revival, cancel_unstarted, revival
from duly.decisions.policy import Admission, admit
from duly.errors import ConfigurationError, StateError
from duly.model import transition
from duly.model.actor import Actor
from duly.model.job import Occupancy
from duly.model.record import Record, record
from duly.model.run import CANCELLABLE, DISCARDABLE, RETRYABLE
from duly.model.transition import RunSnapshot
from duly.operations.batches import in_batches
from duly.operations.core import Core
from duly.operations.filters import RunFilters, described, refuse_empty, run_filter
from duly.store import jobs, runs, transitions
from duly.store.rows import JobRow, RunRow, definition_of, options_problem
from duly.store.runs import RunFilter
from duly.store.transaction import Transaction
from duly.store.transitions import Change

Refusals = Counter[str]
"""How many runs were left as they were, by the reason."""

CHANGED = "changed meanwhile"
STOPPING = "already asked to stop"
OVERLAP = "not allowed by its job's overlap policy"
KEY_TAKEN = "its unique key is held by another run"
UNREADABLE = "its job's options were stored by another version"
BY_HAND = "cancelled manually"


@record
class BulkResult(Record):
    """What became of all runs that matched a filter.

    Attributes:
        matched: the number of runs that matched when the call began.
        changed: the number of those that were changed; with ``dry_run``, none.
        refused: the number of those that were left as they were, by the reason.
        dry_run: whether the runs were only counted.
    """

    matched: int
    changed: int
    refused: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False


def cancel_runs(
    core: Core,
    *,
    dry_run: bool = False,
    everything: bool = False,
    actor: str | Actor | None = None,
    **filters: Unpack[RunFilters],
) -> BulkResult:
    """Cancel all unfinished runs that match the filters, each as `cancel` does.

    The runs that match when the call begins are cancelled in several short transactions.

    Args:
        dry_run: whether to count the matching runs, and to change nothing.
        everything: whether to cancel all unfinished runs; without filters, this is required.
        actor: who acts, for the audit trail.
        filters: as in `runs`; ``state``: ``scheduled``, ``ready``, ``running``; default: all three.

    Returns:
        The number of runs that matched and that were changed, and why others were not.

    Raises:
        ConfigurationError: no filter is given without ``everything``, or a filter is not valid.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = _wanted(core, filters, everything, "cancel_runs", CANCELLABLE)
    return _change(core, wanted, _cancel, "runs.cancelled", dry_run=dry_run, actor=actor)


def retry_runs(
    core: Core,
    *,
    dry_run: bool = False,
    everything: bool = False,
    actor: str | Actor | None = None,
    **filters: Unpack[RunFilters],
) -> BulkResult:
    """Start all failed runs that match the filters again, each as `retry` does.

    The runs that match when the call begins are started over in several short transactions. A run
    that fails again meanwhile is not retried twice. A job's overlap policy applies: with
    ``overlap="allow"`` all its runs start over, otherwise as many as it may have at once.

    Args:
        dry_run: whether to count the matching runs, and to change nothing.
        everything: whether to retry all failed runs; without filters, this is required.
        actor: who acts, for the audit trail.
        filters: as in `runs`; ``state``: ``failed``, ``missed``, ``skipped``; default: ``failed``.

    Returns:
        The number of runs that matched and that were changed, and why others were not.

    Raises:
        ConfigurationError: no filter is given without ``everything``, or a filter is not valid.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = _wanted(core, filters, everything, "retry_runs", RETRYABLE)
    return _change(core, wanted, _retry, "runs.retried", dry_run=dry_run, actor=actor)


def discard_runs(
    core: Core,
    *,
    reason: str,
    dry_run: bool = False,
    everything: bool = False,
    actor: str | Actor | None = None,
    **filters: Unpack[RunFilters],
) -> BulkResult:
    """Give up all failed runs that match the filters for good, each as `discard` does.

    The runs that match when the call begins are discarded in several short transactions.

    Args:
        reason: why, for the dashboard and the audit trail.
        dry_run: whether to count the matching runs, and to change nothing.
        everything: whether to discard all failed runs; without filters, this is required.
        actor: who acts, for the audit trail.
        filters: as in `runs`; ``state``: only ``failed``, the default.

    Returns:
        The number of runs that matched and that were changed, and why others were not.

    Raises:
        ConfigurationError: no filter is given without ``everything``, or a filter is not valid.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = _wanted(core, filters, everything, "discard_runs", DISCARDABLE)

    def discard(tx: Transaction, rows: Sequence[RunRow], _refused: Refusals) -> None:
        given_up = transition.discard(tx.because(reason) or "")
        transitions.apply(tx, [Change(RunSnapshot.of(row), given_up) for row in rows])

    return _change(core, wanted, discard, "runs.discarded", dry_run=dry_run, actor=actor)


Work = Callable[[Transaction, Sequence[RunRow], Refusals], None]
"""Changes locked runs, and counts those that it leaves as they are."""


def _wanted(
    core: Core, filters: RunFilters, everything: bool, call: str, states: tuple[str, ...]
) -> RunFilter:
    wanted = run_filter(core.registry, filters)
    refuse_empty(wanted, everything, call)
    for state in wanted.states or ():
        if state not in states:
            raise ConfigurationError(
                f"{call} cannot change runs that are {state}; give states among {states}"
            )
    default = ("failed",) if "failed" in states else states
    return replace(wanted, states=default if wanted.states is None else wanted.states)


def _change(
    core: Core,
    wanted: RunFilter,
    work: Work,
    kind: str,
    *,
    dry_run: bool,
    actor: str | Actor | None,
) -> BulkResult:
    with core.store.read() as conn:
        if dry_run:
            return BulkResult(runs.count(conn, wanted), 0, dry_run=True)
        ids = runs.matching(conn, wanted)
    changed, refused = 0, Refusals()

    def change(tx: Transaction, chosen: Sequence[str]) -> tuple[int, Refusals]:
        if work is _retry:  # jobs are locked before runs: the opposite order could deadlock
            jobs.lock(tx, runs.jobs_of(tx.conn, chosen))
        rows = [row for row in runs.lock(tx, chosen) if row.state in (wanted.states or ())]
        left = Refusals({CHANGED: len(chosen) - len(rows)})
        work(tx, rows, left)
        return len(chosen) - left.total(), left

    def add(result: tuple[int, Refusals]) -> None:
        nonlocal changed
        changed += result[0]
        refused.update(result[1])

    in_batches(core, ids, change, actor, add)
    result = BulkResult(len(ids), changed, dict(+refused))
    if ids:
        facts: dict[str, Any] = {"filter": described(wanted), "matched": result.matched}
        facts |= {"changed": result.changed, "refused": result.refused}
        core.transact(lambda tx: tx.record(kind, **facts), actor=actor)
    return result


def _cancel(tx: Transaction, rows: Sequence[RunRow], refused: Refusals) -> None:
    running = [row for row in rows if row.state == "running"]
    asked = [row for row in running if not row.cancel_requested]
    refused[STOPPING] += len(running) - len(asked)
    if asked:
        values = {"cancel_requested": True, "reason": BY_HAND}
        runs.change(tx, [row.id for row in asked], **values)
    for row in asked:
        tx.record("run.cancel_requested", job_id=row.job_id, run_id=row.id)
    cancel_unstarted(tx, rows, BY_HAND)


def _retry(tx: Transaction, rows: Sequence[RunRow], refused: Refusals) -> None:
    found = jobs.find_many(tx.conn, {row.job_id for row in rows if row.job_id is not None})
    own = {row.uid: row for row in found}  # not of a job that was added again under the same id
    occupancy = runs.occupancy(tx.conn, {row.id: row.uid for row in found})
    keys = [row.retaken_key for row in rows if row.retaken_key is not None]
    taken = set(runs.holders_of_keys(tx.conn, keys))
    changes = list[Change]()
    for row in rows:
        job = own.get(row.job_uid or "")
        if row.retaken_key in taken:
            refused[KEY_TAKEN] += 1
        elif job is not None and options_problem(job) is not None:
            refused[UNREADABLE] += 1
        elif _admit(job, occupancy) != "ready":
            refused[OVERLAP] += 1
        else:
            feeds = job is not None and job.feeds
            change = revival(row, cause="retry_by_hand", actor=tx.actor, feeds=feeds)
            if row.retaken_key is None:
                changes.append(change)
            else:
                taken.add(row.retaken_key)
                refused[KEY_TAKEN] += not _retake(tx, row, change)
    transitions.apply(tx, changes)


def _retake(tx: Transaction, row: RunRow, change: Change) -> bool:
    """Start a run over that takes its unique key again; return whether the key was free."""
    try:
        apply_revival(tx, row, change)
    except StateError:  # another transaction has taken the key since it was looked up
        return False
    return True


def _admit(job: JobRow | None, occupancy: Mapping[str, Occupancy]) -> Admission:
    if job is None:
        return "ready"
    return admit(definition_of(job).options, "manual", occupancy[job.id])
