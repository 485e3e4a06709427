"""What is missing in the database, and what in it nobody here understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, UniqueConstraint, func, inspect, select
from sqlalchemy.schema import AddConstraint, CreateIndex

from duly.store.rows import JobRow, job_rows
from duly.store.tables import LIVE, complete, job, metadata, run, worker

MOST = 1_000


def missing_tables(conn: Connection) -> list[str]:
    """The names of Duly's tables that are not there."""
    return sorted(set(metadata.tables) - set(inspect(conn).get_table_names()))


def missing_indexes(conn: Connection) -> dict[str, str]:
    """The indexes and named constraints that are not there, each with the SQL that makes it."""
    missing: dict[str, str] = {}
    for table in complete().sorted_tables:
        held = _held(conn, table)
        for name, statement in _wanted(table):
            if name not in held:
                missing[name] = " ".join(str(statement.compile(dialect=conn.dialect)).split())
    return missing


def unknown_jobs(conn: Connection, tasks: Sequence[str]) -> Sequence[Any]:
    """The jobs, but for finished ones, whose task is not among these: their app, id and task."""
    statement = select(job.c.app, job.c.id, job.c.task).where(
        job.c.state != "finished", job.c.task.not_in(tasks)
    )
    return conn.execute(statement.order_by(job.c.id).limit(MOST)).all()


def unknown_runs(conn: Connection, tasks: Sequence[str]) -> dict[str, int]:
    """How many runs wait for each task that is not among these."""
    statement = select(run.c.task, func.count().label("held")).where(
        LIVE, run.c.state.in_(("ready", "scheduled")), run.c.task.not_in(tasks)
    )
    found = conn.execute(statement.group_by(run.c.task).order_by(run.c.task))
    return {row.task: row.held for row in found}


def some_jobs(conn: Connection) -> Sequence[JobRow]:
    """Up to a thousand jobs that are not finished, by id."""
    statement = select(job).where(job.c.state != "finished").order_by(job.c.id).limit(MOST)
    return job_rows(conn.execute(statement))


def live_workers(conn: Connection, now: datetime) -> Sequence[Row[Any]]:
    """The workers whose lease goes on."""
    return conn.execute(select(worker).where(worker.c.lease_until > now)).all()


def _held(conn: Connection, table: Table) -> set[str | None]:
    look = inspect(conn)
    indexes, unique = look.get_indexes(table.name), look.get_unique_constraints(table.name)
    return {held["name"] for held in (*indexes, *unique)}


def _wanted(table: Table) -> Iterator[tuple[str, Any]]:
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield str(index.name), CreateIndex(index)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.name is not None:
            yield str(constraint.name), AddConstraint(constraint, isolate_from_table=False)
