"""Queries of jobs: one by its id, many by filters, and their nominal times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from sqlalchemy import Connection

from duly.decisions.policy import next_fire
from duly.errors import ConfigurationError
from duly.model.checks import instant
from duly.model.job import JobRecord
from duly.model.page import Page
from duly.model.record import Record, SafeText, record
from duly.model.run import COUNTED
from duly.operations.core import Core
from duly.operations.filters import JobFilters, job_filter
from duly.operations.inputs import page_size, search_size
from duly.store import history, rows, runs
from duly.store import jobs as job_rows


@record
class MissedRange(Record):
    """Consecutive nominal times of a job that did not run, recorded together.

    Attributes:
        first: the first of these nominal times.
        last: the last of them.
        count: the number of them.
        reason: why they did not run.
        decided_at: when this was recorded.
    """

    first: datetime
    last: datetime
    count: int
    reason: SafeText
    decided_at: datetime


def jobs(
    core: Core,
    *,
    order: Literal["id", "next_fire_at"] = "id",
    after: str | tuple[datetime, str] | None = None,
    limit: int = 100,
    look: int | None = None,
    **filters: Unpack[JobFilters],
) -> Page[JobRecord]:
    """Return the jobs that match every given filter, each with its newest run.

    The result is a list whose attribute ``more`` tells whether there are more than ``limit``.
    No index has jobs by part of their id, by task or by queue: with ``look``, a search for a few of
    a million jobs looks at some of them, and can be continued after ``looked``.

    Args:
        order: ``id``; or ``next_fire_at``: only jobs that will fire again, soonest first.
        after: the last id of the previous page; when ordered by ``next_fire_at``, the last pair
            of ``next_fire_at`` and id.
        limit: 1 to 1000.
        look: the number of jobs to look at, when ordered by ``id``; default: all.
        filters: ``ids``, ``tag``, ``state``, ``task``, ``queue``, ``text``, ``owners``,
            ``failing``: see `JobFilters`.

    Raises:
        ConfigurationError: the state or order is unknown, ``after`` does not fit the order, or the
            limit is out of range.
        NaiveDatetimeError: the instant of ``after`` has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = job_filter(core.registry, filters)
    if order not in ("id", "next_fire_at"):
        raise ConfigurationError(f"order={order!r} is not valid; give 'id' or 'next_fire_at'")
    size, end = page_size(limit), None
    with core.store.read() as conn:
        if order == "id" and (after is None or isinstance(after, str)):
            if look is not None:
                end = job_rows.search_end(conn, wanted, look=search_size(look), after=after)
            found = job_rows.page(conn, wanted, after=after, limit=size + 1, until=end)
        elif order == "next_fire_at" and not isinstance(after, str):
            position = None if after is None else (instant("after", after[0]), after[1])
            found = job_rows.page_by_next_fire(conn, wanted, after=position, limit=size + 1)
        else:
            raise ConfigurationError(
                f"after={after!r} does not fit order={order!r}; give the id of the last job, or "
                "with order='next_fire_at' the pair (next_fire_at, id)"
            )
        return Page.of(read_jobs(conn, found), size, end)


def job_ids(
    core: Core, *, after: str | None = None, limit: int = 1000, **filters: Unpack[JobFilters]
) -> Page[str]:
    """Return the ids of the jobs that match every given filter, in order.

    This is for a change of many jobs in parts: call `pause` with each page of ids. The result
    is a list whose attribute ``more`` tells whether there are more than ``limit``.

    Args:
        after: the last id of the previous page.
        limit: 1 to 1000.
        filters: as in `jobs`.

    Raises:
        ConfigurationError: a filter or the limit is not valid.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = job_filter(core.registry, filters)
    size = page_size(limit)
    with core.store.read() as conn:
        return Page.of(list(job_rows.ids_page(conn, wanted, after=after, limit=size + 1)), size)


def count_jobs(core: Core, **filters: Unpack[JobFilters]) -> int:
    """Count the jobs that match every given filter; counting stops at 10,000.

    Args:
        filters: as in `jobs`.

    Raises:
        ConfigurationError: a filter is not valid.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = job_filter(core.registry, filters)
    with core.store.read() as conn:
        return job_rows.count_some(conn, wanted, COUNTED)


def job(core: Core, job_id: str) -> JobRecord:
    """Return one job with its newest run.

    Raises:
        JobNotFound: the job does not exist.
    """
    with core.store.read() as conn:
        return read_job(conn, job_id)


def next_fires(core: Core, job_id: str, count: int = 10) -> list[datetime]:
    """Return the next nominal times of a job, soonest first; of a paused one, those to come.

    Args:
        job_id: the job's id.
        count: the maximum number of times, 1 to 1000.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: ``count`` is out of range.
    """
    with core.store.read() as conn:
        record = read_job(conn, job_id)
    limit = page_size(count)
    if record.options.max_fires is not None:
        limit = min(limit, record.options.max_fires - record.fired_count)
    fires: list[datetime] = []
    moment, now = record.next_fire_at, core.store.time.now()
    if record.state == "paused" and record.trigger is not None and moment and moment < now:
        moment = next_fire(record.trigger, record.options, now)
    while moment is not None and record.trigger is not None and len(fires) < limit:
        fires.append(moment)
        moment = next_fire(record.trigger, record.options, moment)
    return fires


def missed(core: Core, job_id: str, *, limit: int = 100) -> list[MissedRange]:
    """Return the ranges of nominal times of a job that did not run, newest first.

    Args:
        job_id: the job's id.
        limit: 1 to 1000.

    Raises:
        ConfigurationError: ``limit`` is out of range.
    """
    with core.store.read() as conn:
        return [
            MissedRange(row.first, row.last, row._mapping["count"], row.reason, row.decided_at)
            for row in history.ranges(conn, job_id, page_size(limit))
        ]


def read_job(conn: Connection, job_id: str) -> JobRecord:
    """Read one job with its newest run.

    Raises:
        JobNotFound: the job does not exist.
    """
    row = job_rows.find(conn, job_id)
    if row is None:
        raise job_rows.not_found(conn, job_id)
    return read_jobs(conn, [row])[0]


def read_jobs(conn: Connection, found: Sequence[Any]) -> list[JobRecord]:
    """Return the records of these rows of jobs, in the same order, each with its newest run."""
    ids = [row.id for row in found]
    if not ids:
        return []
    tags, newest = job_rows.tags_of(conn, ids), runs.newest_of_jobs(conn, ids)
    # The newest run may be that of an earlier job of this id, which was another owner's.
    own = {
        row.id: rows.run_record(newest[row.id])
        for row in found
        if row.id in newest and newest[row.id].owner == row.owner
    }
    return [rows.job_record(row, tags[row.id], own.get(row.id)) for row in found]
