"""Which jobs the code of each application declares, by version, and which versions are alive."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, exists, func, select, update

from duly.model.release import Release, order
from duly.store.tables import DECLARED, declaration, job, worker
from duly.store.transaction import Transaction

Stored = tuple[str, str]
"""A version, and the id of a job that it declares."""


def newest(conn: Connection, app: str) -> str:
    """The newest version of an application that has declared anything."""
    return max(_versions(conn, app), key=order, default="")


def add(tx: Transaction, release: Release, job_ids: Collection[str]) -> None:
    """Note that a release declares these jobs; what is noted already is not written again."""
    whose = (declaration.c.app == release.app, declaration.c.version == release.version)
    held = set(tx.conn.execute(select(declaration.c.job_id).where(*whose)).scalars())
    fresh = [
        {"app": release.app, "version": release.version, "job_id": job_id}
        for job_id in sorted(set(job_ids) - held)
    ]
    tx.insert_new(declaration, fresh)


def faded(conn: Connection, release: Release, own: Collection[str], worker_id: str) -> list[Stored]:
    """What was declared by versions that are neither the newest nor alive any more.

    Where no version is given only a program that is alone can tell: then all that it does not
    declare itself is meant.

    Args:
        conn: a connection.
        release: the asking process's.
        own: the jobs that it declares.
        worker_id: its worker.
    """
    others = _alive(conn, release.app, worker_id)
    held = _versions(conn, release.app)
    standing = {*others, release.version, max({*held, release.version}, key=order)}
    columns = declaration.c
    statement = select(columns.version, columns.job_id).where(columns.app == release.app)
    found = conn.execute(statement.where(columns.version.not_in(standing))).all()
    if not release.version and not others:
        unnamed = conn.execute(statement.where(columns.version == "")).all()
        found = [*found, *(row for row in unnamed if row.job_id not in own)]
    return [(row.version, row.job_id) for row in found]


def remove(tx: Transaction, app: str, stored: Iterable[Stored]) -> None:
    """Forget declarations."""
    by_version: dict[str, list[str]] = {}
    for version, job_id in stored:
        by_version.setdefault(version, []).append(job_id)
    for version, job_ids in by_version.items():
        whose = (declaration.c.app == app, declaration.c.version == version)
        tx.conn.execute(delete(declaration).where(*whose, declaration.c.job_id.in_(job_ids)))


def orphans(conn: Connection, app: str) -> list[str]:
    """The ids of an application's jobs that were declared in code and are not any more."""
    declared = exists().where(declaration.c.app == app, declaration.c.job_id == job.c.id)
    statement = select(job.c.id).where(DECLARED, job.c.app == app, ~declared)
    return list(conn.execute(statement.order_by(job.c.id)).scalars())


def adopt(tx: Transaction, release: Release, job_id: str, declared: str) -> None:
    """Note in a locked job whose declaration it follows; its definition stays as it is."""
    values = {
        "declared": declared, "origin": "code", "app": release.app,
        "declared_version": release.version or None,
    }  # fmt: skip
    tx.conn.execute(update(job).where(job.c.id == job_id).values(**values))


def _versions(conn: Connection, app: str) -> list[str]:
    statement = select(declaration.c.version).where(declaration.c.app == app).distinct()
    return list(conn.execute(statement).scalars())


def _alive(conn: Connection, app: str, worker_id: str) -> set[str]:
    """The versions of an application's other workers; rescue removes the rows of dead ones."""
    version = func.coalesce(worker.c.app_version, "")
    statement = select(version).where(worker.c.app == app, worker.c.id != worker_id).distinct()
    return set(conn.execute(statement).scalars())
