"""Find missing tables and indexes, and jobs and runs of tasks that are unknown here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    inspect,
    select,
)
from sqlalchemy.schema import AddConstraint, CreateIndex

from duly.store.rows import JobRow, job_rows
from duly.store.tables import ACTIVE, LIVE, READY, complete, declaration, job, metadata, run, worker

MOST = 1_000
"""The maximum number of jobs that a query returns."""


def overdue_jobs(conn: Connection, before: datetime) -> int:
    """Count the active jobs that should have fired before an instant, up to `MOST`."""
    overdue = select(job.c.id).where(ACTIVE, job.c.next_fire_at < before).limit(MOST)
    return int(conn.execute(select(func.count()).select_from(overdue.subquery())).scalar_one())


def ready_queues(conn: Connection) -> list[str]:
    """Return the queues that have ready runs.

    Each is found by its own look into the index, however many runs it has.
    """
    return list(conn.execute(_READY_QUEUES).scalars())


def _ready_queues() -> Select[str]:
    first = select(func.min(run.c.queue)).where(READY).scalar_subquery()
    found = select(first.label("name")).cte("found", recursive=True)
    following = select(func.min(run.c.queue)).where(READY, run.c.queue > found.c.name)
    found = found.union_all(
        select(following.correlate(found).scalar_subquery()).where(found.c.name.is_not(None))
    )
    return select(found.c.name).where(found.c.name.is_not(None)).limit(MOST)


_READY_QUEUES = _ready_queues()


def waiting_runs(conn: Connection, queue: str, before: datetime) -> int:
    """Count the ready runs of a queue, up to `MOST`, if one has waited since before an instant."""
    found = conn.execute(_WAITING_RUNS, {"in_queue": queue, "most": MOST}).one()
    return found[0] if found[0] and found[1] < before else 0


def _waiting_runs() -> Select[int, Any]:
    of_queue = run.c.queue == bindparam("in_queue")
    ready = select(run.c.due_at).where(READY, of_queue).limit(bindparam("most")).subquery()
    return select(func.count(), func.min(ready.c.due_at))


_WAITING_RUNS = _waiting_runs()


def rival_declarations(conn: Connection, apps: Collection[str]) -> dict[str, list[str]]:
    """Return the jobs that several of these applications declare, each with the applications."""
    if len(apps) < 2:
        return {}
    of_apps = declaration.c.app.in_(sorted(apps))
    several = (
        select(declaration.c.job_id)
        .where(of_apps)
        .group_by(declaration.c.job_id)
        .having(func.count(declaration.c.app.distinct()) > 1)
        .order_by(declaration.c.job_id)
        .limit(MOST)
    )
    rivals: dict[str, list[str]] = {job_id: [] for job_id in conn.execute(several).scalars()}
    pairs = select(declaration.c.job_id, declaration.c.app).where(of_apps).distinct()
    for row in conn.execute(pairs.where(declaration.c.job_id.in_(list(rivals)))):
        rivals[row.job_id].append(row.app)
    return rivals


def missing_tables(conn: Connection) -> list[str]:
    """Return the names of Duly's tables that are missing."""
    return sorted(set(metadata.tables) - set(inspect(conn).get_table_names()))


def missing_indexes(conn: Connection) -> dict[str, str]:
    """Return missing indexes and named constraints, each with the SQL that creates it."""
    missing: dict[str, str] = {}
    for table in complete().sorted_tables:
        existing = _existing(conn, table)
        for name, statement in _wanted(table):
            if name not in existing:
                missing[name] = " ".join(str(statement.compile(dialect=conn.dialect)).split())
    return missing


def unknown_jobs(conn: Connection, tasks: Sequence[str]) -> Sequence[Any]:
    """Return app, id and task of unfinished jobs whose task is not among these."""
    statement = select(job.c.app, job.c.id, job.c.task).where(
        job.c.state != "finished", job.c.task.not_in(tasks)
    )
    return conn.execute(statement.order_by(job.c.id).limit(MOST)).all()


def unknown_runs(conn: Connection, tasks: Sequence[str]) -> dict[str, int]:
    """Count the waiting runs of each task that is not among these."""
    statement = select(run.c.task, func.count().label("number")).where(
        LIVE, run.c.state.in_(("ready", "scheduled")), run.c.task.not_in(tasks)
    )
    found = conn.execute(statement.group_by(run.c.task).order_by(run.c.task))
    return {row.task: row.number for row in found}


def some_jobs(conn: Connection) -> Sequence[JobRow]:
    """Return up to `MOST` unfinished jobs, by id."""
    statement = select(job).where(job.c.state != "finished").order_by(job.c.id).limit(MOST)
    return job_rows(conn.execute(statement))


def live_workers(conn: Connection, now: datetime) -> Sequence[Row[Any]]:
    """Return the workers whose lease is valid."""
    return conn.execute(select(worker).where(worker.c.lease_until > now)).all()


def _existing(conn: Connection, table: Table) -> set[str | None]:
    inspector = inspect(conn)
    indexes = inspector.get_indexes(table.name)
    unique = inspector.get_unique_constraints(table.name)
    return {found["name"] for found in (*indexes, *unique)}


def _wanted(table: Table) -> Iterator[tuple[str, Any]]:
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield str(index.name), CreateIndex(index)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.name is not None:
            yield str(constraint.name), AddConstraint(constraint, isolate_from_table=False)
