"""Turn nominal times that are due into rows: one decision for each, in one transaction.

The cursor of a job (``next_fire_at``) drives firing: a time is due because the cursor says so, and
the worker whose compare-and-set advances the cursor decides it. The unique index on
``(job_uid, scheduled_for)`` backs this up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from duly.decisions.existing_runs import cancel_replaced
from duly.decisions.new_runs import admit_new
from duly.decisions.policy import Decision, Missed, decide_due, jittered
from duly.errors import TriggerError
from duly.model.job import Occupancy
from duly.model.policy import JobOptions
from duly.model.run import Cause
from duly.model.transition import miss
from duly.store import history, jobs, runs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, end_new, new_run

STEPS = 10_000
"""The maximum number of nominal times that one call computes, for all its jobs together."""


@dataclass(slots=True)
class _Plan:
    """The decision about one due job, and the rows that record it."""

    job: JobRow
    cursor: datetime
    options: JobOptions
    decision: Decision
    rows: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)
    replaces: bool = False

    @property
    def most_rows(self) -> int:
        """The maximum number of run ids that its rows need."""
        return len(self.decision.run) + len(self.decision.missed)


ClaimOnInsert = Callable[[Sequence[dict[str, Any]]], None]
"""Claims runs that are about to be inserted (engine rule 14).

It receives the ready rows, and turns those that its worker can start now into running ones.
"""


class Decided(NamedTuple):
    """The result of `decide_and_store`.

    Attributes:
        size: the number of decided jobs, or of their runs if there are more.
        ready: the number of runs that any worker may claim now.
        lost: ids of runs that were claimed on insert but not inserted, because their nominal times
            had runs already.
    """

    size: int
    ready: int
    lost: frozenset[str]


NOTHING = Decided(0, 0, frozenset())


def decide_and_store(
    tx: Transaction,
    due: Sequence[JobRow],
    claim_on_insert: ClaimOnInsert | None = None,
    most_rows: int | None = None,
) -> Decided:
    """Decide all nominal times of these jobs that are due, and store the decisions.

    Args:
        tx: a transaction that has locked the jobs.
        due: their rows; each ``next_fire_at`` is at or before ``tx.now``.
        claim_on_insert: called with the ready runs before they are inserted.
        most_rows: once this number of runs is reached, further jobs are left for the next call;
            ``None``: no limit.
    """
    plans = list(_plans(tx, due, most_rows))
    limited = {
        p.job.id: p.job.uid for p in plans if p.decision.run and p.options.overlap != "allow"
    }
    occupied = runs.occupancy(tx.conn, limited) if limited else {}
    lost_cursors = jobs.advance(tx, [_cursor(plan) for plan in plans]) if plans else set()
    plans = [plan for plan in plans if plan.job.id not in lost_cursors]
    ids = iter(tx.run_ids(sum(plan.most_rows for plan in plans)))
    for plan in plans:
        _make_runs(tx, plan, occupied.get(plan.job.id) or Occupancy(), ids)
        if plan.decision.missed:
            _record_missed(tx, plan, ids)
    replacing = {plan.job.id: plan.job.uid for plan in plans if plan.replaces}
    if replacing:
        cancel_replaced(tx, replacing)
    rows = [row for plan in plans for row in plan.rows]
    if claim_on_insert is not None:
        claim_on_insert([row for row in rows if row["state"] == "ready"])
    lost: frozenset[str] = frozenset()
    if runs.add(tx, rows) < len(rows) and claim_on_insert is not None:
        claimed = [row["id"] for row in rows if row["state"] == "running"]
        lost = frozenset(claimed) - runs.stored(tx.conn, claimed)
    history.add_ranges(tx, [row for plan in plans for row in plan.ranges])
    ready = sum(row["state"] == "ready" for row in rows)
    return Decided(max(len(plans), len(rows)), ready, lost)


def _plans(tx: Transaction, due: Sequence[JobRow], most_rows: int | None) -> Iterator[_Plan]:
    made = 0
    for job in due:
        if most_rows is not None and made >= most_rows:
            return
        plan = _plan(tx, job, STEPS // len(due))
        if plan is not None:
            made += plan.most_rows
            yield plan


def _plan(tx: Transaction, job: JobRow, steps: int) -> _Plan | None:
    definition, cursor = definition_of(job), job.next_fire_at
    if cursor is None:
        return None
    if definition.trigger is None:
        _mark_unresolved(tx, job, definition.problem)
        return None
    options = definition.options
    try:
        decision = decide_due(
            definition.trigger,
            options,
            cursor=cursor,
            fired=job.fired_count,
            now=tx.now,
            limit=max(options.catch_up.limit + 1, steps),
        )
    except TriggerError as error:
        _mark_unresolved(tx, job, f"TriggerError: {error}")
        return None
    return _Plan(job, cursor, options, decision)


def _mark_unresolved(tx: Transaction, job: JobRow, problem: str | None) -> None:
    """Mark a job as unresolved, so that it does not stop the others; its cursor stays."""
    jobs.change(tx, job.id, {"state": "unresolved", "unresolved_reason": problem})
    tx.record("job.unresolved", job_id=job.id, reason=problem)


def _cursor(plan: _Plan) -> jobs.Cursor:
    job, decision = plan.job, plan.decision
    following = decision.next_fire_at
    return jobs.Cursor(
        job.id, plan.cursor, job.revision, following, decision.last_nominal,
        job.fired_count + len(decision.run), "finished" if following is None else job.state,
    )  # fmt: skip


def _make_runs(tx: Transaction, plan: _Plan, occupancy: Occupancy, ids: Iterator[str]) -> None:
    for index, (moment, cause) in enumerate(plan.decision.run):
        row = _row(tx, plan, moment, cause, _due_at(plan, index))
        row["id"] = next(ids)
        plan.replaces |= admit_new(tx, row, plan.options, occupancy) == "replace"
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


def _record_missed(tx: Transaction, plan: _Plan, ids: Iterator[str]) -> None:
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
            tx.count_outcome(plan.job.task, plan.options.queue, "missed", missed.count)
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
