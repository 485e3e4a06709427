"""Everything that is known at a world's end, read once, for the checks."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, text

from duly.store.tables import attempt, decision_range, event, job, run
from simulation.audit_log import JobChange, Move, job_changes, moves
from simulation.executor import Call
from simulation.expectations import Book


@dataclass(frozen=True, slots=True)
class Evidence:
    """The end of a world.

    Attributes:
        runs: stored runs by id.
        jobs: stored jobs by id.
        moves: every committed change of a run, by run.
        claims: by run and claim id, the move that made the run running.
        changes: every committed change of a job, by incarnation.
        effects: the rows of the application's own transactions, by key: the run made with them.
        charges: how many effects of transactional runs there are, by run.
    """

    runs: dict[str, Row[Any]]
    jobs: dict[str, Row[Any]]
    ranges: list[Row[Any]]
    attempts: list[Row[Any]]
    events: list[Row[Any]]
    all_moves: list[Move]
    moves: dict[str, list[Move]]
    claims: dict[tuple[str, str], Move]
    changes: dict[str, list[JobChange]]
    effects: dict[str, str]
    charges: Counter[str]
    calls: list[Call]
    book: Book


def gather(conn: Connection, calls: list[Call], book: Book) -> Evidence:
    """Read it."""
    by_run: dict[str, list[Move]] = defaultdict(list)
    claims: dict[tuple[str, str], Move] = {}
    all_moves = moves(conn)
    for move in all_moves:
        by_run[move.run_id].append(move)
        if move.after.state == "running" and move.before.state != "running":
            claims[move.run_id, str(move.after.claim_id)] = move
    by_job: dict[str, list[JobChange]] = defaultdict(list)
    for change in job_changes(conn):
        by_job[change.uid].append(change)
    return Evidence(
        runs={row.id: row for row in conn.execute(select(run))},
        jobs={row.id: row for row in conn.execute(select(job))},
        ranges=list(conn.execute(select(decision_range))),
        attempts=list(conn.execute(select(attempt))),
        events=list(conn.execute(select(event).order_by(event.c.id))),
        all_moves=all_moves,
        moves=by_run,
        claims=claims,
        changes=by_job,
        effects=dict(conn.execute(text("select key, run_id from sim_effect")).all()),
        charges=Counter(conn.execute(text("select run_id from sim_charge")).scalars()),
        calls=calls,
        book=book,
    )
