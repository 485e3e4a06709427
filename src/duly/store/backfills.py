"""What a backfill reads and writes: the runs of nominal times, and the ranges that hold others."""

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
    """A stored range of missed times."""

    id: int
    first: datetime
    last: datetime
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody wants here


class Piece(NamedTuple):
    """A part of a range that still did not run."""

    first: datetime
    last: datetime
    count: int  # type: ignore[assignment]


def runs_at(conn: Connection, job_uid: str, times: Sequence[datetime]) -> Sequence[RunRow]:
    """The runs of a job at these nominal times."""
    found: list[RunRow] = []
    for first in range(0, len(times), CHUNK):
        asked = {"uid": job_uid, "times": times[first : first + CHUNK]}
        found += run_rows(conn.execute(_RUNS_AT, asked))
    return found


def ranges_over(tx: Transaction, job: JobRow, first: datetime, last: datetime) -> list[Range]:
    """The ranges of missed times of a locked job that touch a stretch, oldest first."""
    held = decision_range.c
    statement = (
        select(held.id, held.first, held.last, held["count"])
        .where(
            held.job_id == job.id,
            held.job_uid == job.uid,
            held.superseded_at.is_(None),
            held.last >= first,
            held.first <= last,
        )
        .order_by(held.last)
    )
    return [Range(*row) for row in tx.conn.execute(statement)]


def replace_range(tx: Transaction, held: Range, pieces: Sequence[Piece]) -> None:
    """Leave these pieces of a range; without any it stays as a superseded record."""
    row = decision_range.c.id == held.id
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
