"""Turn ended runs of parents into runs of the jobs that depend on them.

A parent's run that has ended and whose ``feeds`` is still true has not been resolved. Completions
write nothing else: two parents that ended at once would each see the other one running. Here the
children are locked first, so that everything read afterwards includes what earlier resolvers have
committed; a second resolver finds ``feeds`` false.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from duly.decisions.existing_runs import cancel_replaced, revive_run
from duly.decisions.new_runs import admit_new, overlap_reason
from duly.decisions.policy import Admission, admit
from duly.model.job import Occupancy
from duly.store import dependencies, jobs, runs
from duly.store.dependencies import EndedRun
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run
from duly.triggers import After
from duly.triggers.dependency import releases

BATCH = 200
_REASONS = {"success": "did not succeed", "failure": "did not fail"}


def resolve(store: Store) -> bool:
    """Decide the children of runs that have ended, and return whether any could be decided.

    Children that another transaction has locked are left for the next call.
    """
    return store.run(_resolve)


def _resolve(tx: Transaction) -> bool:
    found = dependencies.ended(tx.conn, BATCH)
    if not found:
        return False
    parents = {row.job_id for row in found}
    children = dependencies.children_of(tx.conn, parents)
    names = {child for of_parent in children.values() for child in of_parent}
    locked = jobs.lock(tx, names, skip_locked=True)
    ended = dependencies.lock_ended(tx, [row.id for row in found])
    resolved = _Resolver(tx, locked, ended).resolve()
    dependencies.mark_resolved(tx, resolved)
    _release(tx, parents - children.keys())
    return bool(resolved)


def _release(tx: Transaction, childless: Iterable[str]) -> None:
    """Clear ``feeds`` of jobs without children, so that their runs are not queried again."""
    ids = [row.id for row in jobs.lock(tx, childless, skip_locked=True)] if childless else []
    if ids:
        dependencies.mark_parents(tx, ids)


@dataclass(slots=True)
class _Parent:
    """A dependency row: a parent's newest ended run, and whether a decision has used it."""

    parent: str
    parent_uid: str
    outcome: str
    run_id: str | None
    fits: bool
    decided: bool

    @property
    def waits(self) -> bool:
        return self.run_id is not None and not self.decided


class _Resolver:
    """Resolves one batch of ended runs.

    Args:
        tx: a transaction that has locked the children and the runs.
        locked: the children.
        ended: the runs.
    """

    def __init__(
        self, tx: Transaction, locked: Iterable[JobRow], ended: Sequence[EndedRun]
    ) -> None:
        self._tx = tx
        self._ended = ended
        self._jobs = {row.id: row for row in locked}
        self._each = {row.id for row in self._jobs.values() if _runs_for_each(row)}
        self._children = dependencies.children_of(tx.conn, {row.job_id for row in ended})
        self._parents: dict[str, dict[str, _Parent]] = {}
        for row in dependencies.parent_rows(tx.conn, self._jobs):
            self._parents.setdefault(row.child_id, {})[row.parent_id] = _Parent(
                row.parent_id, row.parent_uid, row.outcome, row.run_id, row.fits, row.decided
            )
        self._occupancy: dict[str, Occupancy] = runs.occupancy(
            tx.conn, {row.id: row.uid for row in self._jobs.values()}
        )
        self._decisions = dependencies.decisions(tx, [row.id for row in ended])
        self._rows: list[dict[str, Any]] = []
        self._changed: dict[tuple[str, str], _Parent] = {}

    def resolve(self) -> list[str]:
        """Decide the children, and return the ids of the runs that are completely resolved."""
        resolved = []
        for run in self._ended:
            children = self._children.get(run.job_id, [])
            if all(child in self._jobs for child in children):
                for child in children:
                    self._take(run, self._jobs[child], self._parents[child])
                resolved.append(run.id)
        self._store_rows()
        changed = [_row(child, parent) for (child, _), parent in self._changed.items()]
        dependencies.update_parent_rows(self._tx, changed)
        return resolved

    def _take(self, run: EndedRun, child: JobRow, parents: dict[str, _Parent]) -> None:
        """Record a parent's run, and decide the child if it was waiting only for this one."""
        own = parents[run.job_id]
        if run.job_uid != own.parent_uid:  # of a job that was removed and added again since
            return
        if child.id in self._each:
            parents = {run.job_id: own}
        fits = releases(own.outcome, run.state)
        existing = self._decisions.get((child.uid, run.id))
        if len(parents) == 1:
            own.run_id, own.fits = run.id, fits
        elif own.run_id is None or run.id >= own.run_id:
            own.decided &= run.id == own.run_id  # the same run ends again after a retry by hand
            own.run_id, own.fits = run.id, fits
            self._changed[child.id, run.job_id] = own
        elif existing is None:
            return  # a newer run of this parent counts
        blocker = next((parent for parent in parents.values() if not parent.fits), None)
        if existing is not None:
            moved_on = len(parents) > 1 and not all(p.decided for p in parents.values())
            if existing.state == "skipped" and own.run_id == run.id and not moved_on:
                self._reconsider(child, existing, blocker)
        elif len(parents) == 1 or all(parent.waits for parent in parents.values()):
            self._decide(child, run.id, blocker)
            for name, parent in parents.items() if len(parents) > 1 else ():
                parent.decided = True
                self._changed[child.id, name] = parent

    def _decide(self, child: JobRow, completed_by: str, blocker: _Parent | None) -> None:
        """Create the child's run, or record that it is skipped, now that all parents have ended."""
        _trigger, options, problem = definition_of(child)
        origin = Origin(
            "dependency", None, child.id, child.uid, feeds=child.feeds,
            parent_run_id=blocker.run_id if blocker else completed_by,
            cause_key=f"{child.uid}:{completed_by}",
        )  # fmt: skip
        row = new_run(
            self._tx.run_id(), origin, task=child.task, args=child.args, options=options,
            now=self._tx.now, due_at=self._tx.now,
        )  # fmt: skip
        refusal = _refusal(child, problem, blocker)
        admission = admit_new(self._tx, row, options, self._occupancy[child.id], refusal)
        self._cancel_replaced(child, admission)
        self._rows.append(row)

    def _reconsider(self, child: JobRow, existing: RunRow, blocker: _Parent | None) -> None:
        """Start a skipped run, if the parent that prevented it has been retried and allows it."""
        _trigger, options, problem = definition_of(child)
        refusal = _refusal(child, problem, blocker)
        admission = "skip" if refusal else admit(options, "dependency", self._occupancy[child.id])
        if admission == "skip":
            reason = refusal or overlap_reason(options)
            blamed = blocker.run_id if blocker else existing.parent_run_id
            runs.change(self._tx, [existing.id], reason=reason, parent_run_id=blamed)
            return
        self._cancel_replaced(child, admission)
        revive_run(self._tx, existing, waits=admission != "ready", feeds=child.feeds)

    def _cancel_replaced(self, child: JobRow, admission: Admission) -> None:
        if admission == "replace":
            self._store_rows()
            cancel_replaced(self._tx, {child.id: child.uid})

    def _store_rows(self) -> None:
        rows, self._rows = self._rows, []
        runs.add(self._tx, rows)


def _runs_for_each(child: JobRow) -> bool:
    trigger = definition_of(child).trigger
    return isinstance(trigger, After) and trigger.each


def _refusal(child: JobRow, problem: str | None, blocker: _Parent | None) -> str | None:
    """Return why a child does not run although all its parents have ended, if it does not."""
    if blocker is not None:
        return f"{blocker.parent!r} {_REASONS[blocker.outcome]}: run {blocker.run_id}"
    if child.state == "paused":
        return dependencies.PAUSED
    return f"the job cannot be read: {problem}" if problem else None


def _row(child: str, parent: _Parent) -> dict[str, Any]:
    return {
        "child": child, "parent": parent.parent, "to_run": parent.run_id,
        "to_fits": parent.fits, "to_decided": parent.decided,
    }  # fmt: skip
