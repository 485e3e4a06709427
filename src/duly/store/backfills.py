"""The rows that a backfill reads and changes: runs at nominal times, and ranges of missed times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from duly.store.rows import JobRow, RunRow, run_rows
from duly.store.sql.bulk_insert import CHUNK
from duly.store.tables import decision_range, run
from duly.store.transaction import Transaction


class Range(NamedTuple):
    """A stored range of missed nominal times."""

    id: int
    first: datetime
    last: datetime
    count: int  # type: ignore[assignment]  # hides tuple.count, which is not used


class Piece(NamedTuple):
    """A part of a range that is still missed."""

    first: datetime
    last: datetime
    count: int  # type: ignore[assignment]


def runs_at(conn: Connection, job_uid: str, times: Sequence[datetime]) -> Sequence[RunRow]:
    """Return the runs of a job at these nominal times."""
    found: list[RunRow] = []
    for first in range(0, len(times), CHUNK):
        parameters = {"uid": job_uid, "times": times[first : first + CHUNK]}
        found += run_rows(conn.execute(_RUNS_AT, parameters))
    return found


def ranges_over(tx: Transaction, job: JobRow, first: datetime, last: datetime) -> list[Range]:
    """Return the ranges of missed times of a locked job that overlap an interval, oldest first."""
    columns = decision_range.c
    statement = (
        select(columns.id, columns.first, columns.last, columns["count"])
        .where(
            columns.job_id == job.id,
            columns.job_uid == job.uid,
            columns.superseded_at.is_(None),
            columns.last >= first,
            columns.first <= last,
        )
        .order_by(columns.last)
    )
    return [Range(*row) for row in tx.conn.execute(statement)]


def replace_range(tx: Transaction, former: Range, pieces: Sequence[Piece]) -> None:
    """Replace a range by pieces of it; without pieces, it stays as a superseded record."""
    row = decision_range.c.id == former.id
    if not pieces:
        tx.conn.execute(update(decision_range).where(row).values(superseded_at=tx.now))
        return
    stored = dict(tx.conn.execute(select(decision_range).where(row)).one()._mapping)
    del stored["id"]
    tx.conn.execute(update(decision_range).where(row).values(**pieces[0]._asdict()))
    for piece in pieces[1:]:
        tx.conn.execute(insert(decision_range).values(**stored | piece._asdict()))


_RUNS_AT = select(run).where(
    run.c.job_uid == bindparam("uid"), run.c.scheduled_for.in_(bindparam("times", expanding=True))
)
