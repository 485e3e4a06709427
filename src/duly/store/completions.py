"""Fenced writes: check claims, and store the reports of their workers while they are valid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import Connection, bindparam, insert, select, update

from duly.store.sql.columns import Id
from duly.store.sql.long_lists import among
from duly.store.tables import run, run_log
from duly.store.transaction import Transaction


class Fence(TypedDict):
    """The claim that a run must still have for its worker to write to it."""

    run: str
    seen_token: int
    seen_claim: str


class FenceCheck(NamedTuple):
    """The result of `check_fences`, by the ids of runs.

    Attributes:
        valid: runs whose claims are valid, so that their workers may write to them.
        late: runs that another claim or a rescuer has taken. A run that this claim has already
            ended, by a commit whose acknowledgement was lost, is in neither set.
        cancel: the runs in ``valid`` whose cancellation was requested.
    """

    valid: set[str]
    late: set[str]
    cancel: set[str]


def check_fences(tx: Transaction, fences: Sequence[Fence]) -> FenceCheck:
    """Lock the runs of these claims and return which claims are still valid."""
    columns = (run.c.id, run.c.token, run.c.claim_id, run.c.state, run.c.cancel_requested)
    statement = select(*columns).where(run.c.id.in_([fence["run"] for fence in fences]))
    rows = tx.conn.execute(tx.dialect.lock_rows(statement.order_by(run.c.id))).all()
    claims = {row.id: (row.token, row.claim_id) for row in rows}
    ours = {f["run"] for f in fences if claims.get(f["run"]) == (f["seen_token"], f["seen_claim"])}
    live = [row for row in rows if row.id in ours and row.state == "running"]
    return FenceCheck(
        {row.id for row in live},
        {fence["run"] for fence in fences} - ours,
        {row.id for row in live if row.cancel_requested},
    )


def lock(tx: Transaction, run_ids: Sequence[str]) -> None:
    """Lock runs in the order of their ids, so that two transactions cannot deadlock."""
    if tx.dialect.many_writers:
        chosen = _locked(tx.dialect.name)
        tx.conn.execute(tx.dialect.lock_rows(chosen), {"ids": run_ids}).all()


def add_log(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store captured log lines."""
    if rows:
        conn.execute(insert(run_log), rows)


def report_progress(conn: Connection, reports: Sequence[dict[str, Any]]) -> None:
    """Store the progress of running runs whose claims are still valid."""
    if reports:
        conn.execute(_REPORT, reports)


def end_occupation(conn: Connection, fences: Sequence[Fence]) -> None:
    """Free the slots of functions that have returned after their runs had been ended.

    A run that has been claimed since then is left alone: ending it raised its token by one.
    """
    if fences:
        conn.execute(_FREE, fences)


_FENCED = (
    update(run)
    .where(
        run.c.id == bindparam("run"),
        run.c.token == bindparam("seen_token"),
        run.c.claim_id == bindparam("seen_claim", type_=Id),
        run.c.state == "running",
    )
)  # fmt: skip
_REPORT = _FENCED.values(
    progress_done=bindparam("to_done"),
    progress_total=bindparam("to_total"),
    progress_note=bindparam("to_note"),
    counters=bindparam("to_counters"),
)
_FREE = (
    update(run)
    .where(run.c.id == bindparam("run"), run.c.token == bindparam("seen_token") + 1)
    .where(run.c.claim_id == bindparam("seen_claim", type_=Id))
    .values(occupied=False)
)


@cache
def _locked(database: str) -> Any:
    return select(run.c.id).where(among(database, run.c.id, "ids")).order_by(run.c.id)
