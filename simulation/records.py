"""Everything known about a world that has ended, read once for all checks."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, text

from duly.store import outcomes
from duly.store.tables import attempt, decision_range, event, job, run
from simulation.audit_log import (
    JobChange,
    RunChange,
    job_changes,
    orphaned_children,
    run_changes,
)
from simulation.executor import Execution
from simulation.expectations import Expectations


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a world that has ended.

    Attributes:
        runs: the stored runs, by id.
        jobs: the stored jobs, by id.
        ranges: the recorded ranges of missed times.
        attempts: the recorded unsuccessful attempts.
        events: the recorded events, in order.
        outcomes: the counts of runs that have ended, by task, queue and outcome.
        run_changes: every committed change of a run, in order.
        changes_by_run: the same changes by run.
        claims: by run and claim id, the change that made the run running.
        job_changes: every committed change of a job, by its incarnation.
        orphans: each job that was deleted while another one ran after it, and that other one.
        signed_off: the ids of the workers that stopped in an orderly way.
        effects: the rows of the application's own transactions: by key, the run made with each.
        charges: the number of effects of each transactional run.
        executions: every execution of a function.
        expectations: what the client may expect.
    """

    runs: dict[str, Row[Any]]
    jobs: dict[str, Row[Any]]
    ranges: list[Row[Any]]
    attempts: list[Row[Any]]
    events: list[Row[Any]]
    outcomes: Counter[tuple[str, str, str]]
    run_changes: list[RunChange]
    changes_by_run: dict[str, list[RunChange]]
    claims: dict[tuple[str, str], RunChange]
    job_changes: dict[str, list[JobChange]]
    orphans: list[tuple[str, str]]
    signed_off: set[str]
    effects: dict[str, str]
    charges: Counter[str]
    executions: list[Execution]
    expectations: Expectations


def read_records(
    conn: Connection, executions: list[Execution], expectations: Expectations
) -> Records:
    """Read what the database knows and put it beside what the world knows."""
    by_run: dict[str, list[RunChange]] = defaultdict(list)
    claims: dict[tuple[str, str], RunChange] = {}
    all_changes = run_changes(conn)
    for change in all_changes:
        by_run[change.run_id].append(change)
        if change.after.state == "running" and change.before.state != "running":
            claims[change.run_id, str(change.after.claim_id)] = change
    by_job: dict[str, list[JobChange]] = defaultdict(list)
    for job_change in job_changes(conn):
        by_job[job_change.uid].append(job_change)
    events = list(conn.execute(select(event).order_by(event.c.id)))
    return Records(
        runs={row.id: row for row in conn.execute(select(run))},
        jobs={row.id: row for row in conn.execute(select(job))},
        ranges=list(conn.execute(select(decision_range))),
        attempts=list(conn.execute(select(attempt))),
        events=events,
        outcomes=Counter(outcomes.totals(conn)),
        run_changes=all_changes,
        changes_by_run=by_run,
        claims=claims,
        job_changes=by_job,
        orphans=orphaned_children(conn),
        signed_off={row.worker_id for row in events if row.kind == "worker.stopped"},
        effects=dict(conn.execute(text("select key, run_id from sim_effect")).all()),
        charges=Counter(conn.execute(text("select run_id from sim_charge")).scalars()),
        executions=executions,
        expectations=expectations,
    )
