"""Storing jobs: one, or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from duly.decisions.policy import first_fire
from duly.errors import DuplicateJob, JobNotFound
from duly.model.identity import new_id
from duly.model.job import Origin
from duly.model.policy import encode_policy
from duly.model.zone_data import tzdb_version
from duly.operations.jobs.cursors import resting
from duly.operations.jobs.definition import Definition, bind, change, declaration_text
from duly.operations.jobs.dependencies import parents_in, relinked
from duly.store import dependencies, jobs
from duly.store.rows import JobRow
from duly.store.sql.bulk_insert import CHUNK
from duly.store.transaction import Transaction


def add(
    tx: Transaction, wanted: Sequence[Definition], *, app: str, origin: Origin, replace: bool
) -> dict[str, dict[str, Any]]:
    """Store jobs of different ids, or change those that exist already.

    Returns:
        The rows of the new ones, by id.

    Raises:
        DuplicateJob: an id, the first in this order, is taken and ``replace`` is false.
        DependencyError: one cannot come after the jobs that it names.
    """
    with _relinked(tx, wanted, replace):
        return put(tx, wanted, app=app, origin=origin, replace=replace)


def put(
    tx: Transaction, wanted: Sequence[Definition], *, app: str, origin: Origin, replace: bool
) -> dict[str, dict[str, Any]]:
    """`add` inside the caller's `relinked`."""
    by_id = {held.id: held for held in sorted(wanted, key=lambda held: held.id)}
    options = {id(held.options): held.options for held in wanted}  # of many jobs, mostly one
    policies = {key: encode_policy(held) for key, held in options.items()}
    rows = {
        held.id: _new_row(tx, held, policies[id(held.options)], app, origin)
        for held in by_id.values()
    }
    taken = jobs.add_many(tx, list(rows.values()), {held.id: held.tags for held in wanted})
    if taken and not replace:
        jobs.remove(tx, [job_id for job_id in rows if job_id not in taken])  # the caller may go on
        raise DuplicateJob(next(held.id for held in wanted if held.id in taken))
    fresh = [held.id for held in wanted if held.id not in taken]
    tx.record_jobs("job.added", fresh, origin=origin)
    for row in _locked(tx, sorted(taken)):
        differing = change(tx, row, by_id[row.id], task=by_id[row.id].task)
        if differing:
            tx.record("job.changed", job_id=row.id, fields=differing)
    return {job_id: rows[job_id] for job_id in fresh}


def _relinked(
    tx: Transaction, wanted: Sequence[Definition], replace: bool
) -> AbstractContextManager[None]:
    """`relinked` around the jobs that have, or had, to do with others; mostly there is none."""
    parents = {held.id: parents_in(held.trigger) for held in wanted}
    related = {name for name, held in parents.items() if held}.union(*parents.values())
    if replace:
        related |= dependencies.parents_of(tx.conn, list(parents)).keys()
    triggers = {held.id: held.trigger for held in wanted if held.id in related}
    return relinked(tx, triggers, replace=replace) if triggers else nullcontext()


def _locked(tx: Transaction, job_ids: Sequence[str]) -> Sequence[JobRow]:
    rows = [
        row
        for first in range(0, len(job_ids), CHUNK)
        for row in jobs.lock(tx, job_ids[first : first + CHUNK])
    ]
    for job_id in sorted(set(job_ids) - {row.id for row in rows}):
        raise JobNotFound(job_id)
    return rows


def _new_row(
    tx: Transaction, wanted: Definition, policy: str | None, app: str, origin: Origin
) -> dict[str, Any]:
    trigger, text = bind(tx, wanted, tx.now)
    first = first_fire(trigger, wanted.options, tx.now)
    return {
        "id": wanted.id, "uid": new_id(), "app": app, "task": wanted.task, "args": wanted.args,
        "trigger": text, "options": policy,
        "queue": wanted.options.queue, "state": resting(trigger, first),
        "next_fire_at": first, "origin": origin,
        "declared": declaration_text(wanted) if origin == "code" else None,
        "revision": 1, "tzdb": tzdb_version(), "created_at": tx.now, "updated_at": tx.now,
        "watched_since": tx.now, "watch_at": tx.now if wanted.options.watch else None,
    }  # fmt: skip
