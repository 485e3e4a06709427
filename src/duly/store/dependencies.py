"""Dependency rows: which jobs depend on which, and the parents' runs that await a decision.

A child has a row for each parent. It holds one run: the parent's newest run that has ended. When
every row holds a run that no decision has used, the child is decided, and these runs are used. The
child must be locked to read or write its rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from duly.model.identity import floor_id
from duly.model.run import RunState
from duly.store.control import STOPPED
from duly.store.rows import JobRow, RunRow, run_rows
from duly.store.sql.columns import Id
from duly.store.sql.long_lists import among
from duly.store.tables import FEEDING, LIVE, control, dependency, job, run
from duly.store.transaction import Transaction

_ONE_ROW = "database_id"
PAUSED = "the job was paused"
"""The reason of runs skipped while their job is paused; resuming the job looks for it."""


def lock_graph(tx: Transaction) -> None:
    """Lock the graph of dependencies: two changes at once could close a cycle."""
    one_row = select(control.c.name).where(control.c.name == _ONE_ROW)
    tx.conn.execute(tx.dialect.lock_rows(one_row)).all()


def parents_of(conn: Connection, job_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the parents of each of these jobs that has any, with the outcome that counts."""
    return _pairs(conn, dependency.c.child_id, job_ids)


def children_of(conn: Connection, job_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the children of each of these jobs that has any."""
    found: dict[str, list[str]] = {}
    for child, parents in sorted(_pairs(conn, dependency.c.parent_id, job_ids).items()):
        for parent in parents:
            found.setdefault(parent, []).append(child)
    return found


def connected(conn: Connection, job_ids: Collection[str]) -> dict[str, set[str]]:
    """Return the parents of every job that is connected to these jobs, upwards or downwards."""
    found: dict[str, set[str]] = {}
    for column in (dependency.c.child_id, dependency.c.parent_id):
        upward = column is dependency.c.child_id
        frontier, seen = set(job_ids), set(job_ids)
        while frontier:
            pairs = _pairs(conn, column, frontier)
            reached = {parent for parents in pairs.values() for parent in parents}
            for child, parents in pairs.items():
                found.setdefault(child, set()).update(parents)
            frontier = (reached if upward else set(pairs)) - seen
            seen |= frontier
    return found


class Link(NamedTuple):
    """A dependency between two jobs.

    Attributes:
        outcome: the outcome of the parent's runs that counts.
    """

    child: str
    parent: str
    outcome: str


def links(
    conn: Connection,
    job_ids: Collection[str],
    *,
    upward: bool,
    limit: int,
    owners: Sequence[str] | None = None,
) -> list[Link]:
    """Return the dependencies of these jobs, in the order of the other jobs' ids.

    Args:
        conn: the connection.
        job_ids: the ids of the jobs.
        upward: whether to return those on their parents; otherwise those of their children.
        limit: the maximum number of dependencies.
        owners: leave out those on jobs, and of jobs, that do not belong to these owners.
    """
    near, far = dependency.c.child_id, dependency.c.parent_id
    if not upward:
        near, far = far, near
    columns = dependency.c.child_id, dependency.c.parent_id, dependency.c.outcome
    statement = select(*columns).where(among(conn.dialect.name, near, "ids"))
    if owners is not None:
        own = select(job.c.id).where(job.c.id == far, job.c.owner.in_(owners))
        statement = statement.where(own.exists())
    rows = conn.execute(statement.order_by(far, near).limit(limit), {"ids": list(job_ids)})
    return [Link(*row) for row in rows]


def link(tx: Transaction, child: str, parents: Iterable[str], outcome: str) -> None:
    """Make a job depend on further jobs."""
    rows = [{"child_id": child, "parent_id": parent, "outcome": outcome} for parent in parents]
    if rows:
        tx.conn.execute(insert(dependency), rows)


def unlink(tx: Transaction, child: str, parents: Iterable[str]) -> None:
    """Remove a job's dependencies on these parents."""
    chosen = (dependency.c.child_id == child) & dependency.c.parent_id.in_(list(parents))
    tx.conn.execute(delete(dependency).where(chosen))


def forget(tx: Transaction, job_ids: Collection[str]) -> None:
    """Remove all dependencies of jobs that are about to be deleted."""
    chosen = among(tx.dialect.name, dependency.c.child_id, "ids")
    tx.conn.execute(delete(dependency).where(chosen), {"ids": list(job_ids)})


def mark_parents(tx: Transaction, job_ids: Collection[str]) -> None:
    """Store on locked jobs and their unfinished runs whether children depend on them."""
    database, ids = tx.dialect.name, list(job_ids)
    fed = set(children_of(tx.conn, ids))
    chosen = among(database, job.c.id, "ids")
    rows = tx.conn.execute(
        select(job.c.id, job.c.uid, job.c.feeds).where(chosen), {"ids": ids}
    ).all()
    for feeds in (True, False):
        wrong = [row.id for row in rows if row.feeds != feeds and (row.id in fed) == feeds]
        if wrong:
            tx.conn.execute(update(job).where(chosen).values(feeds=feeds), {"ids": wrong})
    uids = [row.uid for row in rows if row.id in fed]
    live = run.c.state.in_(("scheduled", "ready", "running"))
    of_jobs = among(database, run.c.job_id, "ids")
    theirs = select(run.c.id).where(of_jobs, LIVE, among(database, run.c.job_uid, "uids"), live)
    run_ids = tx.conn.execute(theirs, {"ids": list(fed), "uids": uids}).scalars().all()
    if run_ids:
        these = among(database, run.c.id, "ids")
        tx.conn.execute(update(run).where(these, live).values(feeds=True), {"ids": run_ids})


class EndedRun(NamedTuple):
    """A parent's run that has ended and for which its children have not been decided yet."""

    id: str
    job_id: str
    job_uid: str
    state: RunState


def ended(conn: Connection, limit: int) -> list[EndedRun]:
    """Return runs of parents that have ended and whose children are undecided, oldest first."""
    return [EndedRun(*row) for row in conn.execute(_ENDED, {"limit": limit})]


def lock_ended(tx: Transaction, run_ids: Iterable[str]) -> list[EndedRun]:
    """Lock and return those of these runs whose children are still undecided, oldest first."""
    statement = select(run.c.id, run.c.job_id, run.c.job_uid, run.c.state).where(
        run.c.id.in_(list(run_ids)), FEEDING
    )
    locked = tx.dialect.lock_rows(statement.order_by(run.c.id), skip_locked=True)
    return [EndedRun(*row) for row in tx.conn.execute(locked)]


def parent_rows(conn: Connection, children: Collection[str]) -> Sequence[Row[Any]]:
    """Return all dependency rows of these children, each with the uid of its parent."""
    statement = (
        select(dependency, job.c.uid.label("parent_uid"))
        .join(job, job.c.id == dependency.c.parent_id)
        .where(among(conn.dialect.name, dependency.c.child_id, "ids"))
        .order_by(dependency.c.child_id, dependency.c.parent_id)
    )
    return conn.execute(statement, {"ids": list(children)}).all()


def update_parent_rows(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Update rows: ``child``, ``parent``, and the new ``to_run``, ``to_fits``, ``to_decided``."""
    if rows:
        tx.conn.execute(_FILL, rows)


def decisions(tx: Transaction, run_ids: Collection[str]) -> dict[tuple[str, str], RunRow]:
    """Lock and return the runs, also skipped ones, that name one of these as their parent.

    The keys are the child's uid and the parent run's id. Almost always there are none: only a run
    that was retried by hand ends a second time.
    """
    children = select(run.c.id).where(run.c.parent_run_id.in_(list(run_ids)))
    ids = tx.conn.execute(children).scalars().all()
    if not ids:
        return {}
    statement = select(run).where(among(tx.dialect.name, run.c.id, "ids")).order_by(run.c.id)
    rows = run_rows(tx.conn.execute(tx.dialect.lock_rows(statement), {"ids": list(ids)}))
    return {(row.job_uid or "", row.parent_run_id or ""): row for row in rows}


def skipped_while_paused(tx: Transaction, child: JobRow, limit: int) -> Sequence[RunRow]:
    """Lock and return the newest runs that were skipped while a child was paused, oldest first."""
    statement = (
        select(run)
        .where(
            run.c.job_id == child.id,
            run.c.id >= floor_id(child.paused_at or child.created_at),
            run.c.state == "skipped",
            run.c.cause == "dependency",
            run.c.reason == PAUSED,
        )
        .order_by(run.c.id.desc())
        .limit(limit)
    )
    return list(reversed(run_rows(tx.conn.execute(tx.dialect.lock_rows(statement)))))


def mark_resolved(tx: Transaction, run_ids: Sequence[str]) -> None:
    """Mark locked runs as resolved, because all their children are decided."""
    if run_ids:
        tx.conn.execute(update(run).where(run.c.id.in_(run_ids)).values(feeds=False))


def _pairs(
    conn: Connection, column: Column[Any], job_ids: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return the parents, with the outcome that counts, in the rows with these jobs in a column."""
    found: dict[str, dict[str, str]] = {}
    chosen = select(dependency).where(among(conn.dialect.name, column, "ids"))
    for row in conn.execute(chosen, {"ids": list(job_ids)}):
        found.setdefault(row.child_id, {})[row.parent_id] = row.outcome
    return found


_ENDED: Select[Any] = (
    select(run.c.id, run.c.job_id, run.c.job_uid, run.c.state)
    .where(FEEDING, ~exists(select(control.c.name).where(control.c.name == STOPPED)))
    .order_by(run.c.id)
    .limit(bindparam("limit"))
)
_FILL = (
    update(dependency)
    .where(
        dependency.c.child_id == bindparam("child"), dependency.c.parent_id == bindparam("parent")
    )
    .values(
        run_id=bindparam("to_run", type_=Id),
        fits=bindparam("to_fits"),
        decided=bindparam("to_decided"),
    )
)
