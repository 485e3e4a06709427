"""Turning the nominal times that have come into rows: one decision for each, in one transaction.

The cursor (``next_fire_at``) drives everything: a time is due because the cursor says so, and
moving the cursor on with a compare-and-set is what decides who decides. The unique row
``(job_uid, scheduled_for)`` stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row

from duly.decisions.policy import Decision, Missed, decide_due, jittered, place
from duly.errors import TriggerError
from duly.model.job import Occupancy
from duly.model.policy import JobOptions
from duly.model.run import Cause
from duly.model.transition import RunSnapshot, cancel, miss, revive, skip
from duly.store import history, jobs, runs, transitions
from duly.store.rows import definition
from duly.store.transaction import Transaction
from duly.store.transitions import Change, Origin, end_new, new_run, wait_for_slot

STEPS = 10_000
"""Nominal times that one call walks through at most, all jobs together."""


@dataclass(slots=True)
class _Plan:
    job: Row[Any]
    options: JobOptions
    decision: Decision
    rows: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)
    replaces: bool = False

    @property
    def most_rows(self) -> int:
        """How many ids its rows may need."""
        return len(self.decision.run) + len(self.decision.missed)


ClaimOnInsert = Callable[[Sequence[dict[str, Any]]], None]
"""Claims runs that are about to be inserted (engine rule 14).

It is given the rows that are ready, and turns those that its worker can start now into running
ones.
"""


class Settled(NamedTuple):
    """What `settle` has written.

    Attributes:
        ready: the number of runs that any worker may claim now.
        lost: ids of runs that were claimed on insert but not inserted: their time had a run.
    """

    ready: int
    lost: frozenset[str]


NOTHING = Settled(0, frozenset())


def settle(
    tx: Transaction, due: Sequence[Row[Any]], claim_on_insert: ClaimOnInsert | None = None
) -> Settled:
    """Decide the nominal times of these jobs that are due, and write the decisions.

    Args:
        tx: a transaction that has locked the jobs.
        due: their rows, each with a ``next_fire_at`` that is not after ``tx.now``.
        claim_on_insert: given the ready runs before they are inserted.
    """
    plans = [plan for plan in (_plan(tx, job, STEPS // len(due)) for job in due) if plan]
    busy = [plan.job.id for plan in plans if plan.decision.run and _counts(plan.options)]
    held = runs.occupancy(tx.conn, busy) if busy else {}
    lost_cursors = jobs.advance(tx, [_cursor(plan) for plan in plans]) if plans else set()
    plans = [plan for plan in plans if plan.job.id not in lost_cursors]
    ids = iter(tx.run_ids(sum(plan.most_rows for plan in plans)))
    for plan in plans:
        _place_runs(tx, plan, held.get(plan.job.id) or Occupancy(), ids)
        if plan.decision.missed:
            _note_missed(tx, plan, ids)
    replaced = [plan.job.id for plan in plans if plan.replaces]
    if replaced:
        replace_live(tx, replaced)
    rows = [row for plan in plans for row in plan.rows]
    if claim_on_insert is not None:
        claim_on_insert([row for row in rows if row["state"] == "ready"])
    lost: frozenset[str] = frozenset()
    if runs.add(tx, rows) < len(rows) and claim_on_insert is not None:
        claimed = [row["id"] for row in rows if row["state"] == "running"]
        lost = frozenset(claimed) - runs.stored(tx.conn, claimed)
    history.add_ranges(tx, [row for plan in plans for row in plan.ranges])
    return Settled(sum(row["state"] == "ready" for row in rows), lost)


def cancel_live(tx: Transaction, job_ids: Sequence[str], reason: str, *, running: bool) -> None:
    """Cancel what has not started of some jobs; with ``running``, ask the rest to stop."""
    live = runs.live_of_jobs(tx.conn, job_ids)
    _cancel(tx, runs.lock(tx, [row.id for row in live]), reason, running=running)


def _cancel(tx: Transaction, locked: Sequence[Row[Any]], reason: str, *, running: bool) -> None:
    early = [row for row in locked if row.state in ("scheduled", "ready")]
    cancel_unstarted(tx, early, reason)
    asked = [row.id for row in locked if row.state == "running"]
    if running and asked:
        runs.change(tx, asked, cancel_requested=True, reason=reason)


def replace_live(tx: Transaction, job_ids: Sequence[str]) -> None:
    """Make room for newer runs of some jobs; backfills are in nobody's way."""
    live = [row.id for row in runs.live_of_jobs(tx.conn, job_ids) if row.cause != "backfill"]
    _cancel(tx, runs.lock(tx, live), "overlap=cancel_running", running=True)


def cancel_unstarted(tx: Transaction, rows: Sequence[Row[Any]], reason: str) -> None:
    """Cancel locked runs that have not started."""
    transitions.apply(tx, [Change(RunSnapshot.of(row), cancel(reason)) for row in rows])


def run_again(tx: Transaction, row: Row[Any], *, waits: bool = False, **values: Any) -> None:
    """Let a locked run that has ended start over, with as many attempts as it had at first.

    Args:
        tx: a transaction that has locked the run's job as well, if there is one.
        row: the run.
        waits: whether it must wait for its turn.
        values: further columns.
    """
    change = Change(RunSnapshot.of(row), revive(waits_for_slot=waits), values, {"was": row.state})
    transitions.apply(tx, [change])


def _plan(tx: Transaction, job: Row[Any], steps: int) -> _Plan | None:
    trigger, options, problem = definition(job)
    if trigger is None:
        _set_aside(tx, job, problem)
        return None
    try:
        decision = decide_due(
            trigger,
            options,
            cursor=job.next_fire_at,
            fired=job.fired_count,
            now=tx.now,
            keep=max(options.catch_up.limit + 1, steps),
        )
    except TriggerError as error:
        _set_aside(tx, job, f"TriggerError: {error}")
        return None
    return _Plan(job, options, decision)


def _set_aside(tx: Transaction, job: Row[Any], problem: str | None) -> None:
    """An unresolved job does not stop the others; its cursor stays for later."""
    jobs.change(tx, job.id, {"state": "unresolved", "unresolved_reason": problem})
    tx.record("job.unresolved", job_id=job.id, reason=problem)


def _counts(options: JobOptions) -> bool:
    return options.overlap != "allow"


def _cursor(plan: _Plan) -> jobs.Cursor:
    job, decision = plan.job, plan.decision
    following = decision.next_fire_at
    return jobs.Cursor(
        job.id, job.next_fire_at, job.revision, following, decision.last_nominal,
        job.fired_count + len(decision.run), "finished" if following is None else job.state,
    )  # fmt: skip


def _place_runs(tx: Transaction, plan: _Plan, held: Occupancy, ids: Iterator[str]) -> None:
    for index, (moment, cause) in enumerate(plan.decision.run):
        row = _row(tx, plan, moment, cause, _due_at(plan, index))
        row["id"] = next(ids)
        where = place(plan.options, cause, held)
        if where == "skip":
            reason = f"overlap={plan.options.overlap}: an earlier run is unfinished"
            end_new(row, skip(reason), plan.options, tx.now)
            tx.record("run.skipped", job_id=plan.job.id, run_id=row["id"], reason=reason)
        elif where != "ready":
            plan.replaces |= where == "replace"
            wait_for_slot(row)
        plan.rows.append(row)
    if plan.decision.next_fire_at is None:
        tx.record("job.finished", job_id=plan.job.id)


def _due_at(plan: _Plan, index: int) -> datetime:
    times = plan.decision.run
    moment = times[index][0]
    if not plan.options.jitter:
        return moment
    later = times[index + 1][0] if index + 1 < len(times) else plan.decision.next_fire_at
    return max(jittered(moment, later, plan.options, plan.job.uid), moment)


def _note_missed(tx: Transaction, plan: _Plan, ids: Iterator[str]) -> None:
    follows = plan.job.last_nominal
    for missed in plan.decision.missed:
        tx.record(
            "run.missed",
            job_id=plan.job.id,
            first=missed.first.isoformat(),
            last=missed.last.isoformat(),
            count=missed.count,
            reason=missed.reason,
        )
        if missed.count == 1:
            row = _row(tx, plan, missed.first, "schedule", missed.first)
            row["id"] = next(ids)
            plan.rows.append(end_new(row, miss(missed.reason), plan.options, tx.now))
        else:
            plan.ranges.append(_range(tx, plan, missed, follows))
        follows = missed.last


def _range(
    tx: Transaction, plan: _Plan, missed: Missed, follows: datetime | None
) -> dict[str, Any]:
    return {
        "job_id": plan.job.id, "job_uid": plan.job.uid, "first": missed.first,
        "last": missed.last, "count": missed.count, "reason": missed.reason,
        "decided_at": tx.now, "follows": follows,
    }  # fmt: skip


def _row(
    tx: Transaction, plan: _Plan, moment: datetime, cause: Cause, due_at: datetime
) -> dict[str, Any]:
    job = plan.job
    origin = Origin(cause, None, job.id, job.uid, moment, feeds=job.feeds)
    return new_run(
        "", origin, task=job.task, args=job.args, options=plan.options, now=tx.now,
        due_at=due_at,
    )  # fmt: skip
