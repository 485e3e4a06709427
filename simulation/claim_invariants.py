"""Invariants 11 and 12: what a claim takes from a run, and what its worker gives back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from simulation.audit_log import RunChange
from simulation.records import Records


def what_is_given_back_is_restored(records: Records) -> Iterator[str]:
    """(11) A run that is given back has the place, the expiry and the attempts of before its claim.

    Once its function was called, it does not expire any more.
    """
    for changes in records.changes_by_run.values():
        claim: RunChange | None = None
        for change in changes:
            if _is_claim(change):
                claim = change
            elif claim is not None and _gives_back(change):
                yield from _check_restored(records, claim, change)


def _check_restored(records: Records, claim: RunChange, change: RunChange) -> Iterator[str]:
    before = claim.before if claim.before.state is not None else claim.after
    attempts = claim.before.attempt or 0
    where = f"(11) run {change.run_id} in step {change.step} was given back"
    if change.after.due_at != before.due_at:
        yield f"{where}: due at {change.after.due_at}, before its claim at {before.due_at}"
    if change.after.attempt != attempts:
        yield f"{where} after attempt {change.after.attempt}, before its claim {attempts}"
    executed = any(
        execution.run_id == change.run_id
        and execution.process == claim.actor
        and claim.step <= execution.step <= change.step
        for execution in records.executions
    )
    if not executed and change.after.expires_at != before.expires_at:
        yield f"{where}: expires at {change.after.expires_at}, before at {before.expires_at}"


def only_crashes_are_counted(records: Records) -> Iterator[str]:
    """(11) An orderly stop leaves no run with its worker, and none counts a crash of it."""
    for change in records.run_changes:
        crashed = (change.after.crashes or 0) > (change.before.crashes or 0)
        if crashed and change.before.worker_id in records.signed_off:
            yield (
                f"(11) run {change.run_id} in step {change.step} counts a crash of worker "
                f"{change.before.worker_id}, which stopped in an orderly way"
            )
    for row in records.runs.values():
        if row.state == "running" and row.worker_id in records.signed_off:
            yield f"(11) run {row.id} is held by worker {row.worker_id}, which has signed off"


def keys_are_unique(records: Records) -> Iterator[str]:
    """(12) At most one unfinished run holds a unique key until it is done, revived or not."""
    keys: dict[str, str] = {}
    unfinished: dict[str, set[str]] = defaultdict(set)
    for change in records.run_changes:
        after = change.after
        if change.before.state is None and after.unique_scope == "until_done":
            keys[change.run_id] = str(after.unique_key)
        key = keys.get(change.run_id)
        if key is None:
            continue
        if after.state in ("scheduled", "ready", "running"):
            unfinished[key].add(change.run_id)
            if len(unfinished[key]) > 1:
                yield f"(12) in step {change.step}, key {key!r} has {sorted(unfinished[key])}"
        else:
            unfinished[key].discard(change.run_id)


def _is_claim(change: RunChange) -> bool:
    return change.after.state == "running" and change.before.state != "running"


def _gives_back(change: RunChange) -> bool:
    moved = change.before.state == "running" and change.after.state == "ready"
    return moved and change.after.crashes == change.before.crashes
