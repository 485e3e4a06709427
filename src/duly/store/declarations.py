"""The jobs that each application's code declares, by version, and the versions that are live."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, exists, func, select, update

from duly.model.release import Release, order
from duly.store.sql.long_lists import among
from duly.store.tables import DECLARED, declaration, job, worker
from duly.store.transaction import Transaction

Stored = tuple[str, str]
"""A version and the id of a job that it declares."""


def newest(conn: Connection, app: str) -> str:
    """Return the newest version of an application that has declared a job."""
    return max(_versions(conn, app), key=order, default="")


def add(tx: Transaction, release: Release, job_ids: Collection[str]) -> None:
    """Record that a release declares these jobs, unless it is recorded already."""
    of_release = (declaration.c.app == release.app, declaration.c.version == release.version)
    stored = set(tx.conn.execute(select(declaration.c.job_id).where(*of_release)).scalars())
    fresh = [
        {"app": release.app, "version": release.version, "job_id": job_id}
        for job_id in sorted(set(job_ids) - stored)
    ]
    tx.insert_new(declaration, fresh)


def obsolete(
    conn: Connection, release: Release, own: Collection[str], worker_id: str
) -> list[Stored]:
    """Return the declarations of versions that are neither the newest nor live.

    A process without a version can only judge declarations without a version while it is the only
    worker of its application; then those that it does not make itself are returned, too.

    Args:
        conn: a connection.
        release: the release of this process.
        own: the jobs that this process declares.
        worker_id: this process's worker.
    """
    others = _alive(conn, release.app, worker_id)
    known = _versions(conn, release.app)
    current = {*others, release.version, max({*known, release.version}, key=order)}
    columns = declaration.c
    statement = select(columns.version, columns.job_id).where(columns.app == release.app)
    found = conn.execute(statement.where(columns.version.not_in(current))).all()
    if not release.version and not others:
        unnamed = conn.execute(statement.where(columns.version == "")).all()
        found = [*found, *(row for row in unnamed if row.job_id not in own)]
    return [(row.version, row.job_id) for row in found]


def remove(tx: Transaction, app: str, stored: Iterable[Stored]) -> None:
    """Delete declarations."""
    by_version: dict[str, list[str]] = {}
    for version, job_id in stored:
        by_version.setdefault(version, []).append(job_id)
    for version, job_ids in by_version.items():
        of_release = (declaration.c.app == app, declaration.c.version == version)
        theirs = among(tx.dialect.name, declaration.c.job_id, "ids")
        tx.conn.execute(delete(declaration).where(*of_release, theirs), {"ids": job_ids})


def orphans(conn: Connection, app: str) -> list[str]:
    """Return the ids of an application's jobs that its code used to declare."""
    declared = exists().where(declaration.c.app == app, declaration.c.job_id == job.c.id)
    statement = select(job.c.id).where(DECLARED, job.c.app == app, ~declared)
    return list(conn.execute(statement.order_by(job.c.id)).scalars())


def adopt(tx: Transaction, release: Release, job_id: str, declared: str) -> None:
    """Record which declaration a locked job follows; its definition stays unchanged."""
    values = {
        "declared": declared, "origin": "code", "app": release.app,
        "declared_version": release.version or None,
    }  # fmt: skip
    tx.conn.execute(update(job).where(job.c.id == job_id).values(**values))


def _versions(conn: Connection, app: str) -> list[str]:
    statement = select(declaration.c.version).where(declaration.c.app == app).distinct()
    return list(conn.execute(statement).scalars())


def _alive(conn: Connection, app: str, worker_id: str) -> set[str]:
    """Return the versions of an application's other workers; dead ones have no row."""
    version = func.coalesce(worker.c.app_version, "")
    statement = select(version).where(worker.c.app == app, worker.c.id != worker_id).distinct()
    return set(conn.execute(statement).scalars())
