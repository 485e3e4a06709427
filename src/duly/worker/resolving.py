"""Resolving: runs that ended become runs of the jobs that come after theirs.

A run of a parent that ended, and whose ``feeds`` is still true, is the fact that nobody has acted
on. Completions write nothing else: two parents that end at once would each see the other running.
Here the children are locked first; all that is read afterwards is what everybody before has
committed, and who comes second finds ``feeds`` false.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from duly.decisions.apply import cancel_replaced, revive_run
from duly.decisions.policy import admit
from duly.model.job import Occupancy
from duly.model.transition import skip
from duly.store import dependencies, jobs, runs
from duly.store.dependencies import EndedRun
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, end_new, new_run, wait_for_slot
from duly.triggers.dependency import releases

BATCH = 200
_AGAINST = {"success": "did not succeed", "failure": "did not fail"}


def resolve(store: Store) -> bool:
    """Decide the children of runs that ended; says whether any could be decided.

    Nothing is waited for: what somebody else has locked is left for the next call.
    """
    return store.run(_resolve)


def _resolve(tx: Transaction) -> bool:
    found = dependencies.ended(tx.conn, BATCH)
    if not found:
        return False
    parents = {row.job_id for row in found}
    children = dependencies.children_of(tx.conn, parents)
    names = {child for held in children.values() for child in held}
    locked = jobs.lock(tx, names, skip_locked=True)
    ended = dependencies.lock_ended(tx, [row.id for row in found])
    told = _Resolver(tx, locked, ended).tell()
    dependencies.told(tx, told)
    _release(tx, parents - children.keys())
    return bool(told)


def _release(tx: Transaction, childless: Iterable[str]) -> None:
    """Runs of jobs that nobody comes after any more need not be looked at again."""
    held = [row.id for row in jobs.lock(tx, childless, skip_locked=True)] if childless else []
    if held:
        dependencies.mark_parents(tx, held)


@dataclass(slots=True)
class _Place:
    """A dependency row: the parent's newest run that ended, and whether it has been used."""

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
    """One batch of runs that ended.

    Args:
        tx: a transaction that has locked the rest.
        locked: the children.
        ended: the runs.
    """

    def __init__(
        self, tx: Transaction, locked: Iterable[JobRow], ended: Sequence[EndedRun]
    ) -> None:
        self._tx = tx
        self._ended = ended
        self._jobs = {row.id: row for row in locked}
        self._children = dependencies.children_of(tx.conn, {row.job_id for row in ended})
        self._places: dict[str, dict[str, _Place]] = {}
        for row in dependencies.places(tx.conn, self._jobs):
            self._places.setdefault(row.child_id, {})[row.parent_id] = _Place(
                row.parent_id, row.parent_uid, row.outcome, row.run_id, row.fits, row.decided
            )
        self._held: dict[str, Occupancy] = runs.occupancy(tx.conn, list(self._jobs))
        self._decisions = dependencies.decisions(tx, [row.id for row in ended])
        self._rows: list[dict[str, Any]] = []
        self._filled: dict[tuple[str, str], _Place] = {}

    def tell(self) -> list[str]:
        """Decide; returns the ids of the runs whose children are all decided."""
        told = []
        for run in self._ended:
            children = self._children.get(run.job_id, [])
            if all(child in self._jobs for child in children):
                for child in children:
                    self._take(run, self._jobs[child], self._places[child])
                told.append(run.id)
        self._store_rows()
        dependencies.fill_places(self._tx, [_row(*held) for held in self._filled.items()])
        return told

    def _take(self, run: EndedRun, child: JobRow, places: dict[str, _Place]) -> None:
        """One parent's run ended: perhaps the last one that the child waits for."""
        own = places[run.job_id]
        if run.job_uid != own.parent_uid:  # of a job that was removed and added again since
            return
        good = releases(own.outcome, run.state)
        made = self._decisions.get((child.uid, run.id))
        if len(places) == 1:
            own.run_id, own.fits = run.id, good
        elif own.run_id is None or run.id >= own.run_id:
            own.decided &= run.id == own.run_id  # the same run ends again when it was retried
            own.run_id, own.fits = run.id, good
            self._filled[child.id, run.job_id] = own
        elif made is None:
            return  # a newer run of this parent counts
        against = next((held for held in places.values() if not held.fits), None)
        if made is not None:
            moved_on = len(places) > 1 and not all(held.decided for held in places.values())
            if made.state == "skipped" and own.run_id == run.id and not moved_on:
                self._reconsider(child, made, against)
        elif len(places) == 1 or all(held.waits for held in places.values()):
            self._decide(child, run.id, against)
            for parent, held in places.items() if len(places) > 1 else ():
                held.decided = True
                self._filled[child.id, parent] = held

    def _decide(self, child: JobRow, completed_by: str, against: _Place | None) -> None:
        """All parents have run: make the child's run, or the record that it does not run."""
        _trigger, options, problem = definition_of(child)
        origin = Origin(
            "dependency", None, child.id, child.uid, feeds=child.feeds,
            parent_run_id=against.run_id if against else completed_by,
            cause_key=f"{child.uid}:{completed_by}",
        )  # fmt: skip
        row = new_run(
            self._tx.run_id(), origin, task=child.task, args=child.args, options=options,
            now=self._tx.now, due_at=self._tx.now,
        )  # fmt: skip
        reason = _refusal(child, problem, against)
        where = "skip" if reason else admit(options, "dependency", self._held[child.id])
        if where == "skip":
            reason = reason or f"overlap={options.overlap}: an earlier run is unfinished"
            end_new(row, skip(reason), options, self._tx.now)
            self._tx.record("run.skipped", job_id=child.id, run_id=row["id"], reason=reason)
        elif where != "ready":
            self._make_room(child, where)
            wait_for_slot(row)
        self._rows.append(row)

    def _reconsider(self, child: JobRow, made: RunRow, against: _Place | None) -> None:
        """A parent was retried by hand and ended again: what it kept from running may run now."""
        _trigger, options, problem = definition_of(child)
        reason = _refusal(child, problem, against)
        where = "skip" if reason else admit(options, "dependency", self._held[child.id])
        if where == "skip":
            blamed = against.run_id if against else made.parent_run_id
            reason = reason or f"overlap={options.overlap}: an earlier run is unfinished"
            runs.change(self._tx, [made.id], reason=reason, parent_run_id=blamed)
            return
        self._make_room(child, where)
        revive_run(self._tx, made, waits=where != "ready", feeds=child.feeds)

    def _make_room(self, child: JobRow, where: str) -> None:
        if where == "replace":
            self._store_rows()
            cancel_replaced(self._tx, [child.id])

    def _store_rows(self) -> None:
        rows, self._rows = self._rows, []
        runs.add(self._tx, rows)


def _refusal(child: JobRow, problem: str | None, against: _Place | None) -> str | None:
    """Why a child whose parents have all run does not run."""
    if against is not None:
        return f"{against.parent!r} {_AGAINST[against.outcome]}: run {against.run_id}"
    if child.state == "paused":
        return dependencies.PAUSED
    return f"the job cannot be read: {problem}" if problem else None


def _row(key: tuple[str, str], held: _Place) -> dict[str, Any]:
    return {
        "child": key[0], "parent": key[1], "to_run": held.run_id, "to_fits": held.fits,
        "to_decided": held.decided,
    }  # fmt: skip
