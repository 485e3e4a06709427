"""The jobs around a job: those that it runs after, and those that run after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection

from duly.model.checks import whole
from duly.model.job import JobRecord
from duly.model.record import Record, record
from duly.operations.core import Core
from duly.operations.inputs import owner_names
from duly.operations.jobs.find import read_job, read_jobs
from duly.store import dependencies, jobs
from duly.triggers.dependency import Outcome

_EXAMINED = 1000
"""The number of dependencies that are read for each step; more are not counted."""


@record
class JobLink(Record):
    """A dependency between two jobs.

    Attributes:
        parent: the id of the job that runs first.
        child: the id of the job that runs after it.
        on: the outcome of the parent's runs that counts: ``success``, ``failure`` or ``always``.
    """

    parent: str
    child: str
    on: Outcome


@record
class Neighbours(Record):
    """The jobs around a job.

    Attributes:
        jobs: the jobs, without the job itself, each with its newest run.
        links: the dependencies between them, and with the job.
        more_before: how many further jobs it runs after were left out; counting stops at 1,000.
        more_after: how many further jobs that run after it were left out.
    """

    jobs: list[JobRecord]
    links: list[JobLink]
    more_before: int = 0
    more_after: int = 0


def neighbours(
    core: Core,
    job_id: str,
    *,
    depth: int = 3,
    breadth: int = 8,
    owners: Sequence[str] | None = None,
) -> Neighbours:
    """Return the jobs that a job runs after, directly or indirectly, and those that run after it.

    Args:
        job_id: the job's id.
        depth: the maximum number of steps in each direction, 1 to 10.
        breadth: the maximum number of jobs that each step adds, 1 to 100.
        owners: only jobs of these owners, and what can be reached through them; default: all.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: a number is out of range, or ``owners`` is not a list of names.
    """
    bounds = _Bounds(
        whole(1, 10)("depth", depth),
        whole(1, 100)("breadth", breadth),
        None if owners is None else owner_names(owners),
    )
    with core.store.read() as conn:
        read_job(conn, job_id)
        before = _reach(conn, job_id, True, bounds)
        after = _reach(conn, job_id, False, bounds)
        rows = jobs.find_many(conn, [*before.ids, *after.ids])
        records = read_jobs(conn, sorted(rows, key=lambda row: row.id))
    kept = {job_id, *(record.id for record in records)}
    links = {*before.links, *after.links}
    return Neighbours(
        jobs=records,
        links=[
            JobLink(link.parent, link.child, cast(Outcome, link.outcome))
            for link in sorted(links)
            if {link.parent, link.child} <= kept
        ],
        more_before=before.more,
        more_after=after.more,
    )


@dataclass(slots=True)
class _Reached:
    """The jobs that were reached in one direction, and the number of those left out."""

    ids: list[str] = field(default_factory=list)
    links: set[dependencies.Link] = field(default_factory=set)
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Bounds:
    """How far, and for whom, jobs are followed."""

    depth: int
    breadth: int
    owners: tuple[str, ...] | None


def _reach(conn: Connection, job_id: str, upward: bool, bounds: _Bounds) -> _Reached:
    found, frontier = _Reached(), [job_id]
    for _step in range(bounds.depth):
        links = dependencies.links(
            conn, frontier, upward=upward, limit=_EXAMINED, owners=bounds.owners
        )
        found.links |= set(links)
        far = dict.fromkeys(link.parent if upward else link.child for link in links)
        new = [name for name in far if name not in found.ids]
        found.more += max(0, len(new) - bounds.breadth)
        frontier = new[: bounds.breadth]
        found.ids += frontier
        if not frontier:
            break
    return found
