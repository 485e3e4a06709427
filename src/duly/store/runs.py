"""Queries of run rows; claims and transitions are in modules of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    String,
    bindparam,
    case,
    cast,
    func,
    select,
    union_all,
    update,
)

from duly.model.identity import floor_id
from duly.model.job import Occupancy
from duly.model.run import LIVE as LIVE_STATES
from duly.store import transitions
from duly.store.rows import RunRow, run_rows
from duly.store.sql.bounded_count import count_up_to
from duly.store.sql.bulk_insert import insert_rows
from duly.store.sql.columns import Instant
from duly.store.sql.id_page import ids_after
from duly.store.sql.long_lists import among, in_parts
from duly.store.tables import (
    EXPIRING,
    LIVE,
    NOTABLE,
    NOTABLE_STATES,
    RUNNING,
    SCHEDULED,
    job,
    job_tag,
    run,
)
from duly.store.transaction import Transaction

UNEXECUTED = frozenset({"missed", "skipped"})
"""The states of new runs that are not to be executed."""

JOBS_AT_ONCE = 50
"""The number of jobs whose last runs one statement reads; SQLite allows 500 parts."""

FEW_LIVE = 2_000
"""The number of unfinished runs up to which they are found by their own index."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The conditions of a query for runs, combined with AND.

    Attributes:
        ids: the ids, one of which it must have.
        states: the states, one of which it must have; ``None``: every state.
        parent: the id of the run that triggered them.
        since: only runs created at this instant or later.
        until: only runs created before this instant.
        finished_since: only runs that finished at this instant or later.
        finished_until: only runs that finished before this instant.
        text: part of the job's id, the task's name or the error, ignoring case.
    """

    job: str | None = None
    task: str | None = None
    states: tuple[str, ...] | None = None
    cause: str | None = None
    queue: str | None = None
    tag: str | None = None
    error_type: str | None = None
    worker: str | None = None
    parent: str | None = None
    unique_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    finished_since: datetime | None = None
    finished_until: datetime | None = None
    text: str | None = None
    owners: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterCounts:
    """The failed runs of one task that ended with one type of error.

    Attributes:
        example: the newest of them.
    """

    task: str
    error_type: str | None
    last_hour: int
    last_day: int
    last_week: int
    total: int
    first_at: datetime
    last_at: datetime
    example: RunRow


def add(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> int:
    """Store new runs, except for nominal times that have a run already.

    All rows must have the same keys.

    Returns:
        The number of stored rows; see `insert_rows`.
    """
    number = insert_rows(tx.conn, run, rows, on_conflict_ignore=True)
    ended = [row for row in rows if row["state"] in UNEXECUTED]
    if ended and number != len(rows):
        new = stored(tx.conn, [row["id"] for row in ended])
        ended = [row for row in ended if row["id"] in new]
    for row in ended:
        tx.count_outcome(row["task"], row["queue"], row["state"])
    return number


def stored(conn: Connection, run_ids: Iterable[str]) -> set[str]:
    """Return the ids of those of these runs that exist."""
    chosen = select(run.c.id).where(among(conn.dialect.name, run.c.id, "ids"))
    return set(conn.execute(chosen, {"ids": list(run_ids)}).scalars())


def find(conn: Connection, run_id: str) -> RunRow | None:
    """Return a run's row, if it exists."""
    row: Any = conn.execute(select(run).where(run.c.id == run_id)).one_or_none()
    found: RunRow | None = row
    return found


def lock(tx: Transaction, run_ids: Iterable[str]) -> Sequence[RunRow]:
    """Lock runs in the order of their ids and return their rows."""
    statement = select(run).where(among(tx.dialect.name, run.c.id, "ids")).order_by(run.c.id)
    return run_rows(tx.conn.execute(tx.dialect.lock_rows(statement), {"ids": list(run_ids)}))


def change(tx: Transaction, run_ids: Sequence[str], **values: Any) -> None:
    """Overwrite columns of locked runs; the column ``state`` belongs to `transitions`."""
    chosen = update(run).where(among(tx.dialect.name, run.c.id, "ids"))
    tx.conn.execute(chosen.values(**values), {"ids": list(run_ids)})


def holders_of_keys(conn: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Return the ids of the runs that hold these unique keys, by key."""
    return in_parts(conn, _HOLDERS, keys)


def page(
    conn: Connection,
    wanted: RunFilter,
    *,
    after: str | None = None,
    limit: int = 50,
    oldest_first: bool = False,
    until: str | None = None,
) -> Sequence[RunRow]:
    """Return the matching runs in the order of their ids, which is that of their creation.

    Args:
        conn: the connection.
        wanted: the conditions.
        after: the id of the last run of the previous page.
        limit: the maximum number of runs.
        oldest_first: whether to return the oldest first; default: the newest.
        until: the id of the last run to look at; see `search_end`.
    """
    statement = _filtered(select(run), wanted)
    if wanted.states and LIVE_STATES.issuperset(wanted.states):
        statement = _among_few_live(conn, statement, wanted.states)
    if after is not None:
        statement = statement.where(run.c.id > after if oldest_first else run.c.id < after)
    if until is not None:
        statement = statement.where(run.c.id <= until if oldest_first else run.c.id >= until)
    order = run.c.id if oldest_first else run.c.id.desc()
    return run_rows(conn.execute(statement.order_by(order).limit(limit)))


def search_end(
    conn: Connection,
    wanted: RunFilter,
    *,
    look: int,
    after: str | None = None,
    oldest_first: bool = False,
) -> str | None:
    """Return the id of the last run that a search may look at; ``None`` if fewer are left.

    Only those runs count that an index finds by one of the conditions.

    Args:
        conn: the connection.
        wanted: the conditions.
        look: the number of runs to look at.
        after: as in `page`.
        oldest_first: as in `page`.
    """
    statement = _filtered(select(run.c.id), _indexed(wanted))
    if after is not None:
        statement = statement.where(run.c.id > after if oldest_first else run.c.id < after)
    order = run.c.id if oldest_first else run.c.id.desc()
    end: str | None = conn.execute(statement.order_by(order).offset(look - 1).limit(1)).scalar()
    return end


def _indexed(wanted: RunFilter) -> RunFilter:
    """Return the conditions by which an index has runs in the order of their ids."""
    times = RunFilter(since=wanted.since, until=wanted.until)
    if wanted.job is not None:
        return replace(times, job=wanted.job)
    if wanted.owners is not None and len(wanted.owners) == 1:
        return replace(times, owners=wanted.owners)
    if wanted.states is not None and len(wanted.states) == 1:
        states = wanted.states if wanted.states[0] in NOTABLE_STATES else None
        return replace(times, states=states)
    return times


def matching(conn: Connection, wanted: RunFilter) -> list[str]:
    """Return the ids of all matching runs, oldest first."""
    return list(conn.execute(_all_matching(select(run.c.id), wanted).order_by(run.c.id)).scalars())


def ids_page(
    conn: Connection, wanted: RunFilter, *, after: str | None, limit: int
) -> Sequence[str]:
    """Return the ids of the matching runs that are newer than ``after``, oldest first."""
    return ids_after(conn, _all_matching(select(run.c.id), wanted), run.c.id, after, limit)


def count_some(conn: Connection, wanted: RunFilter, limit: int) -> int:
    """Count the matching runs; counting stops at ``limit``."""
    return count_up_to(conn, _all_matching(select(run.c.id), wanted), limit)


def count(conn: Connection, wanted: RunFilter) -> int:
    """Count the matching runs."""
    return int(
        conn.execute(_all_matching(select(func.count()).select_from(run), wanted)).scalar_one()
    )


def jobs_of(conn: Connection, run_ids: Sequence[str]) -> list[str]:
    """Return the ids of the jobs of these runs."""
    chosen = select(run.c.job_id).where(
        among(conn.dialect.name, run.c.id, "ids"), run.c.job_id.is_not(None)
    )
    return list(conn.execute(chosen.distinct(), {"ids": list(run_ids)}).scalars())


def dead_letters(
    conn: Connection, wanted: RunFilter, now: datetime, limit: int, newest: int | None = None
) -> list[DeadLetterCounts]:
    """Group the matching failed runs by task and type of error, the largest groups first.

    Args:
        conn: the connection.
        wanted: the conditions.
        now: the current instant.
        limit: the maximum number of groups.
        newest: the number of the newest matching runs that are grouped; ``None``: all.
    """
    columns = run.c.id, run.c.task, run.c.error_type, run.c.finished_at
    chosen = _filtered(select(*columns), replace(wanted, states=("failed",)))
    if newest is not None:
        chosen = chosen.order_by(run.c.id.desc()).limit(newest)
    failed = chosen.subquery().c
    number, ended = func.count(), failed.finished_at
    recent = {
        name: func.sum(case((ended >= now - timedelta(hours=hours), 1), else_=0)).label(name)
        for name, hours in (("last_hour", 1), ("last_day", 24), ("last_week", 7 * 24))
    }
    counts: list[ColumnElement[Any]] = [
        failed.task, failed.error_type, *recent.values(), number.label("total"),
        func.min(ended).label("first_at"), func.max(ended).label("last_at"),
        func.max(cast(failed.id, String(36))).label("example"),  # older PostgreSQL: no max(uuid)
    ]  # fmt: skip
    grouped = select(*counts).group_by(failed.task, failed.error_type)
    ordered = grouped.order_by(number.desc(), failed.task, failed.error_type).limit(limit)
    groups = conn.execute(ordered).all()
    last = select(run).where(among(conn.dialect.name, run.c.id, "ids"))
    found = run_rows(conn.execute(last, {"ids": [group.example for group in groups]}))
    examples = {row.id: row for row in found}
    return [
        DeadLetterCounts(
            group.task, group.error_type, int(group.last_hour), int(group.last_day),
            int(group.last_week), group.total, group.first_at, group.last_at,
            examples[group.example],
        )
        for group in groups
    ]  # fmt: skip


def newest_of_jobs(conn: Connection, job_ids: Sequence[str]) -> dict[str, RunRow]:
    """Return the newest run of each of these jobs, by job id; jobs without runs are missing."""
    database = conn.dialect.name
    of_job = select(run.c.id).where(run.c.job_id == job.c.id).order_by(run.c.id.desc()).limit(1)
    newest = select(of_job.scalar_subquery()).where(among(database, job.c.id, "jobs"))
    ids = conn.execute(newest, {"jobs": list(job_ids)}).scalars()
    found = select(run).where(among(database, run.c.id, "ids"))
    rows = run_rows(conn.execute(found, {"ids": [run_id for run_id in ids if run_id]}))
    return {row.job_id: row for row in rows if row.job_id is not None}


def last_of_jobs(
    conn: Connection, job_ids: Sequence[str], limit: int, owners: Sequence[str] | None
) -> dict[str, list[Any]]:
    """Return some columns of the newest runs of each of these jobs, newest first, by job id.

    Each part of the statement reads the end of the job's history in the index. A window function
    would read the histories as a whole, and MariaDB has no lateral joins.
    """
    found: dict[str, list[Any]] = {job_id: [] for job_id in job_ids}
    for first in range(0, len(job_ids), JOBS_AT_ONCE):
        some = job_ids[first : first + JOBS_AT_ONCE]
        values = {f"job_{number}": job_id for number, job_id in enumerate(some)}
        statement = _last_of_jobs(len(some), owners is not None)
        parameters = {**values, "limit": limit, "owners": owners or ()}
        for row in conn.execute(statement, parameters).all():
            found[row.job_id].append(row)
    for rows in found.values():
        rows.sort(key=attrgetter("id"), reverse=True)
    return found


def newest_id(conn: Connection) -> str | None:
    """Return the id of the newest run, if there is one."""
    newest: str | None = conn.execute(select(func.max(run.c.id))).scalar()
    return newest


def occupancy(conn: Connection, uids: Mapping[str, str]) -> dict[str, Occupancy]:
    """Count the unfinished runs of each job, except those of removed jobs that had the same id.

    Call it after the jobs have been locked: under READ COMMITTED the statement that waited for the
    locks does not see what other transactions committed meanwhile.

    Args:
        conn: the connection.
        uids: the uid of each job, by its id.
    """
    found = {job_id: Occupancy() for job_id in uids}
    statement = _occupancy(conn.dialect.name)
    for row in conn.execute(statement, {"job_ids": list(uids)}):
        if row.job_uid != uids[row.job_id]:
            continue
        counts, is_backfill = found[row.job_id], row.cause == "backfill"
        if row.waits_for_slot:
            counts.waiting += 0 if is_backfill else row.number
        elif is_backfill:
            counts.backfill += row.number
        else:
            counts.active += row.number
    return found


def waiting_queues(conn: Connection) -> set[str]:
    """Return the queues with runs that wait to start, now or later."""
    return set(conn.execute(_WAITING_QUEUES).scalars())


def run_at_start_since(
    conn: Connection, job_ids: Sequence[str], since: datetime
) -> set[str | None]:
    """Return the uids of those of these jobs that ran at a start since this instant."""
    statement = select(run.c.job_uid).where(
        run.c.job_id.in_(job_ids), run.c.id >= floor_id(since), run.c.cause == "start"
    )
    return set(conn.execute(statement).scalars())


def live_of_jobs(conn: Connection, job_ids: Sequence[str]) -> Sequence[RunRow]:
    """Return the unfinished runs of these jobs, oldest first."""
    of_jobs = among(conn.dialect.name, run.c.job_id, "ids")
    statement = select(run).where(of_jobs, LIVE).order_by(run.c.id)
    return run_rows(conn.execute(statement, {"ids": list(job_ids)}))


def unstarted_of_jobs(conn: Connection, job_ids: Sequence[str], limit: int | None) -> list[str]:
    """Return the ids of runs of these jobs that have not started."""
    of_jobs = among(conn.dialect.name, run.c.job_id, "ids")
    unstarted = (run.c.state == "ready") | (run.c.state == "scheduled")
    statement = select(run.c.id).where(of_jobs, LIVE, unstarted).limit(limit)
    return list(conn.execute(statement, {"ids": list(job_ids)}).scalars())


def move_unstarted(tx: Transaction, job_ids: Sequence[str], queue: str) -> None:
    """Move the runs of these locked jobs that have not started to another queue.

    A run whose earlier attempt still executes stays, because it counts in the queue's limits.
    """
    found = lock(tx, unstarted_of_jobs(tx.conn, job_ids, None))
    moved = [row.id for row in found if row.state in ("scheduled", "ready") and not row.occupied]
    if moved:
        change(tx, moved, queue=queue)


def promote_due(tx: Transaction, limit: int) -> int:
    """Make scheduled runs ready that are due, and return their number."""
    chosen = tx.conn.execute(
        tx.dialect.lock_rows(_DUE, skip_locked=True), {"now": tx.now, "limit": limit}
    ).scalars()
    ids = list(chosen)
    transitions.promote(tx, ids)
    return len(ids)


def expired(tx: Transaction, limit: int) -> Sequence[RunRow]:
    """Lock and return ready runs that have expired before they started."""
    statement = (
        select(run)
        .where(EXPIRING, run.c.expires_at <= tx.now)
        .order_by(run.c.expires_at)
        .limit(limit)
    )
    return run_rows(tx.conn.execute(tx.dialect.lock_rows(statement, skip_locked=True)))


def previous_success(conn: Connection, job_id: str, before: str) -> datetime | None:
    """Return when the last successful run of a job before the run ``before`` ended."""
    statement = (
        select(run.c.finished_at)
        .where(run.c.job_id == job_id, run.c.id < before, run.c.state == "succeeded")
        .order_by(run.c.id.desc())
        .limit(1)
    )
    finished_at: datetime | None = conn.execute(statement).scalar()
    return finished_at


def _all_matching(statement: Select[Any], wanted: RunFilter) -> Select[Any]:
    """Return a query for all matching runs, in any order: few of those that are kept."""
    statement = _filtered(statement, wanted)
    if wanted.states and LIVE_STATES.issuperset(wanted.states):
        statement = statement.where(LIVE)  # implied; word for word, it may use the partial index
    return statement


def _among_few_live(conn: Connection, statement: Select[Any], states: Sequence[str]) -> Select[Any]:
    """Restrict a query to the runs in some states of unfinished runs, if these are few.

    Otherwise SQLite reads the history in the order of ids until it has found enough of them.
    """
    live = run.alias("live")
    ids = select(live.c.id).where(LIVE, live.c.state.in_(states))
    some = ids.limit(FEW_LIVE + 1).subquery()
    number: int = conn.execute(select(func.count()).select_from(some)).scalar_one()
    return statement.where(run.c.id.in_(ids)) if number <= FEW_LIVE else statement


def _filtered(statement: Select[Any], wanted: RunFilter) -> Select[Any]:
    if wanted.states is not None:
        one = len(wanted.states) == 1
        is_wanted = run.c.state == wanted.states[0] if one else run.c.state.in_(wanted.states)
        statement = statement.where(is_wanted)
        if set(NOTABLE_STATES).issuperset(wanted.states):
            statement = statement.where(NOTABLE)  # implied, too
        if wanted.states == ("running",):
            statement = statement.where(RUNNING)  # implied, too: few of all runs are
    for column, value in (
        (run.c.job_id, wanted.job),
        (run.c.task, wanted.task),
        (run.c.cause, wanted.cause),
        (run.c.queue, wanted.queue),
        (run.c.error_type, wanted.error_type),
        (run.c.worker_id, wanted.worker),
        (run.c.parent_run_id, wanted.parent),
        (run.c.unique_key, wanted.unique_key),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.tag is not None:
        tagged = select(job_tag.c.job_id).where(job_tag.c.tag == wanted.tag)
        statement = statement.where(run.c.job_id.in_(tagged))
    for listed, values in ((run.c.owner, wanted.owners), (run.c.id, wanted.ids)):
        if values is not None:
            statement = statement.where(listed.in_(values))
    if wanted.text:
        columns = (run.c.job_id, run.c.task, run.c.error_type, run.c.error_message)
        matches = [column.icontains(wanted.text, autoescape=True) for column in columns]
        statement = statement.where(matches[0] | matches[1] | matches[2] | matches[3])
    return statement.where(*_within(wanted))


def _within(wanted: RunFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield run.c.id >= floor_id(wanted.since)
    if wanted.until is not None:
        yield run.c.id < floor_id(wanted.until)
    if wanted.finished_since is not None:
        yield run.c.finished_at >= wanted.finished_since
    if wanted.finished_until is not None:
        yield run.c.finished_at < wanted.finished_until


@cache
def _last_of_jobs(number: int, of_owners: bool) -> CompoundSelect[Any]:
    columns = run.c.id, run.c.job_id, run.c.state, run.c.due_at, run.c.started_at, run.c.finished_at
    parts: list[Select[Any]] = []
    for each in range(number):
        newest = select(*columns).where(run.c.job_id == bindparam(f"job_{each}"))
        if of_owners:
            newest = newest.where(run.c.owner.in_(bindparam("owners", expanding=True)))
        ordered = newest.order_by(run.c.id.desc()).limit(bindparam("limit"))
        parts.append(select(ordered.subquery()))
    return union_all(*parts)


@cache
def _occupancy(database: str) -> Select[Any]:
    return (
        select(*_OCCUPANTS, func.count().label("number"))
        .where(among(database, run.c.job_id, "job_ids"), LIVE)
        .group_by(*_OCCUPANTS)
    )


_WAITING_QUEUES = select(run.c.queue).where(run.c.state.in_(["scheduled", "ready"])).distinct()
_OCCUPANTS = run.c.job_id, run.c.job_uid, run.c.waits_for_slot, run.c.cause


_HOLDERS = select(run.c.unique_key, run.c.id).where(
    run.c.unique_key.in_(bindparam("wanted", expanding=True))
)
_DUE = (
    select(run.c.id)
    .where(SCHEDULED, run.c.due_at <= bindparam("now", type_=Instant))
    .order_by(run.c.due_at)
    .limit(bindparam("limit"))
)
