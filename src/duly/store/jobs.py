"""Query and change job rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from duly.errors import DatabaseBusy, JobNotFound
from duly.model.job import JobState
from duly.store.control import STOPPED
from duly.store.rows import JobRow, job_rows
from duly.store.sql.bounded_count import bounded_counts, count_up_to
from duly.store.sql.bulk_insert import insert_rows
from duly.store.sql.bulk_update import update_rows
from duly.store.sql.columns import Instant
from duly.store.sql.id_page import ids_after
from duly.store.sql.long_lists import among, in_parts
from duly.store.tables import (
    ACTIVE,
    ENDED,
    FAILING,
    PAUSED,
    UNRESOLVED,
    control,
    job,
    job_tag,
)
from duly.store.transaction import Transaction

_STATES = {"active": ACTIVE, "paused": PAUSED, "finished": ENDED, "unresolved": UNRESOLVED}
"""The conditions of states, word for word, so that they may use partial indexes."""

NEIGHBOURS = 100
"""How many ids of jobs are compared with one that does not exist, in each of three places."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The conditions of a query for jobs, combined with AND.

    Attributes:
        ids: the ids, one of which it must have.
        text: part of the id or of the task's name, ignoring case.
        failing: only jobs whose last run failed.
    """

    tag: str | None = None
    state: str | None = None
    task: str | None = None
    queue: str | None = None
    text: str | None = None
    failing: bool = False
    owners: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None


def add_many(
    tx: Transaction, rows: Sequence[Mapping[str, Any]], tags: Mapping[str, Sequence[str]]
) -> set[str]:
    """Store new jobs with their tags, and return the ids that were taken.

    The rows must be sorted by id, so that two transactions cannot deadlock.
    """
    uids = {row["id"]: row["uid"] for row in rows}
    taken: set[str] = set()
    for _try in range(TRIES):
        if not rows or tx.insert_new(job, rows) == len(rows):
            break
        stored = in_parts(tx.conn, _UIDS, [row["id"] for row in rows])
        taken |= {name for name, uid in stored.items() if uid != uids[name]}
        # The job that had an id may have been removed between the two statements.
        rows = [row for row in rows if row["id"] not in stored]
    else:
        if rows:  # a host's transaction may read an older snapshot, without these jobs
            raise DatabaseBusy(
                f"this transaction cannot see whether job {rows[0]['id']!r} exists: it reads a "
                "snapshot taken before another transaction stored that job; begin it again"
            )
    pairs = [{"tag": tag, "job_id": name} for name in uids.keys() - taken for tag in tags[name]]
    tx.insert_new(job_tag, pairs)
    return taken


def stored(conn: Connection, job_ids: Collection[str]) -> set[str]:
    """Return the ids of those of these jobs that exist."""
    chosen = select(job.c.id).where(among(conn.dialect.name, job.c.id, "ids"))
    return set(conn.execute(chosen, {"ids": list(job_ids)}).scalars())


def find(conn: Connection, job_id: str) -> JobRow | None:
    """Return a job's row, if it exists."""
    row: Any = conn.execute(select(job).where(job.c.id == job_id)).one_or_none()
    found: JobRow | None = row
    return found


def not_found(conn: Connection, job_id: str) -> JobNotFound:
    """Return the error for a job that does not exist, with the closest id, if one is close."""
    return JobNotFound(job_id, neighbours(conn, job_id))


def neighbours(conn: Connection, job_id: str) -> set[str]:
    """Return ids of jobs that may be meant by another one: the first, and those that sort beside.

    Their number is bounded, so that a typing error takes no longer with many jobs.
    """
    first = select(job.c.id).order_by(job.c.id).limit(NEIGHBOURS)
    before = select(job.c.id).where(job.c.id < job_id).order_by(job.c.id.desc()).limit(NEIGHBOURS)
    queries = (first, first.where(job.c.id > job_id), before)
    found = (conn.execute(query).scalars() for query in queries)
    return {name for names in found for name in names}


def find_many(conn: Connection, job_ids: Iterable[str]) -> Sequence[JobRow]:
    """Return the rows of these jobs."""
    chosen = select(job).where(among(conn.dialect.name, job.c.id, "ids"))
    return job_rows(conn.execute(chosen, {"ids": list(job_ids)}))


def declared_by(conn: Connection, app: str) -> Sequence[JobRow]:
    """Return the jobs that code of an application has declared, whether or not it still does."""
    chosen = select(job).where(job.c.app == app, job.c.origin == "code")
    return job_rows(conn.execute(chosen.order_by(job.c.id)))


def lock(tx: Transaction, job_ids: Iterable[str], *, skip_locked: bool = False) -> Sequence[JobRow]:
    """Lock jobs in the order of their ids, so that two transactions cannot deadlock.

    Args:
        tx: the transaction.
        job_ids: the jobs.
        skip_locked: whether to leave out jobs that another transaction has locked.
    """
    statement = select(job).where(among(tx.dialect.name, job.c.id, "ids")).order_by(job.c.id)
    locked = tx.dialect.lock_rows(statement, skip_locked=skip_locked)
    return job_rows(tx.conn.execute(locked, {"ids": list(job_ids)}))


def overdue(conn: Connection, job_ids: Collection[str], now: datetime) -> Sequence[JobRow]:
    """Return those of these jobs whose cursor has passed, whether they fire or not."""
    chosen = select(job).where(
        among(conn.dialect.name, job.c.id, "ids"), job.c.next_fire_at <= bindparam("now", now)
    )
    return job_rows(conn.execute(chosen.order_by(job.c.id), {"ids": list(job_ids)}))


def lock_outdated(tx: Transaction, after: str, limit: int, release: str) -> Sequence[JobRow]:
    """Lock the next jobs, by id, whose times were computed with other time zone data."""
    statement = select(job).where(
        job.c.id > after, job.c.next_fire_at.is_not(None), job.c.tzdb != release
    )
    return job_rows(
        tx.conn.execute(tx.dialect.lock_rows(statement.order_by(job.c.id).limit(limit)))
    )


def page(
    conn: Connection,
    wanted: JobFilter,
    *,
    after: str | None = None,
    limit: int = 100,
    until: str | None = None,
) -> Sequence[JobRow]:
    """Return the matching jobs whose ids sort after ``after``, in the order of their ids.

    Args:
        conn: the connection.
        wanted: the conditions.
        after: the id of the last job of the previous page.
        limit: the maximum number of jobs.
        until: the id of the last job to look at; see `search_end`.
    """
    statement = _filtered(select(job), wanted)
    if after is not None:
        statement = statement.where(job.c.id > after)
    if until is not None:
        statement = statement.where(job.c.id <= until)
    return job_rows(conn.execute(statement.order_by(job.c.id).limit(limit)))


def search_end(
    conn: Connection, wanted: JobFilter, *, look: int, after: str | None = None
) -> str | None:
    """Return the id of the last job that a search may look at; ``None`` if fewer are left.

    Only those jobs count that an index finds by their tag or owner.

    Args:
        conn: the connection.
        wanted: the conditions.
        look: the number of jobs to look at.
        after: as in `page`.
    """
    one = wanted.owners if wanted.owners is not None and len(wanted.owners) == 1 else None
    indexed = JobFilter(tag=wanted.tag) if wanted.tag is not None else JobFilter(owners=one)
    statement = _filtered(select(job.c.id), indexed)
    if after is not None:
        statement = statement.where(job.c.id > after)
    end: str | None = conn.execute(statement.order_by(job.c.id).offset(look - 1).limit(1)).scalar()
    return end


def page_by_next_fire(
    conn: Connection,
    wanted: JobFilter,
    *,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> Sequence[JobRow]:
    """Return the matching jobs that fire, soonest first.

    Args:
        conn: the connection.
        wanted: the conditions.
        after: the next fire and the id of the last job of the previous page.
        limit: the maximum number of jobs.
    """
    statement = _filtered(select(job), wanted).where(job.c.next_fire_at.is_not(None))
    if after is not None:
        moment, job_id = after
        statement = statement.where(
            job.c.next_fire_at >= moment, (job.c.next_fire_at > moment) | (job.c.id > job_id)
        )
    return job_rows(conn.execute(statement.order_by(job.c.next_fire_at, job.c.id).limit(limit)))


class Matched(NamedTuple):
    """A job that matches a filter: its id, its state, and who has paused it."""

    id: str
    state: str
    paused_by: str | None


def matching(conn: Connection, wanted: JobFilter) -> list[Matched]:
    """Return all matching jobs, in the order of their ids."""
    statement = _filtered(select(job.c.id, job.c.state, job.c.paused_by), wanted)
    return [Matched(*row) for row in conn.execute(statement.order_by(job.c.id))]


def with_tags(conn: Connection, tags: Sequence[str]) -> set[str]:
    """Return the ids of the jobs that have one of these tags."""
    chosen = among(conn.dialect.name, job_tag.c.tag, "tags")
    statement = select(job_tag.c.job_id).where(chosen)
    return set(conn.execute(statement, {"tags": list(tags)}).scalars())


def ids_page(
    conn: Connection, wanted: JobFilter, *, after: str | None, limit: int
) -> Sequence[str]:
    """Return the ids of the matching jobs that sort after ``after``, in order."""
    return ids_after(conn, _filtered(select(job.c.id), wanted), job.c.id, after, limit)


def count_some(conn: Connection, wanted: JobFilter, limit: int) -> int:
    """Count the matching jobs; counting stops at ``limit``."""
    return count_up_to(conn, _filtered(select(job.c.id), wanted), limit)


def tags_of(conn: Connection, job_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the tags of these jobs, by job id."""
    found: dict[str, list[str]] = {job_id: [] for job_id in job_ids}
    chosen = select(job_tag).where(among(conn.dialect.name, job_tag.c.job_id, "ids"))
    for row in conn.execute(chosen.order_by(job_tag.c.tag), {"ids": list(job_ids)}):
        found[row.job_id].append(row.tag)
    return found


def set_tags(
    tx: Transaction, tags: Mapping[str, Sequence[str]], former: Mapping[str, Sequence[str]]
) -> None:
    """Replace the tags of each of these jobs.

    Args:
        tx: a transaction that has locked the jobs.
        tags: the new tags of each job.
        former: the stored ones.
    """
    shrunk = [job_id for job_id, names in tags.items() if not set(names).issuperset(former[job_id])]
    if shrunk:
        chosen = among(tx.dialect.name, job_tag.c.job_id, "ids")
        tx.conn.execute(delete(job_tag).where(chosen), {"ids": shrunk})
    kept = {job_id: set(former[job_id]) for job_id in tags.keys() - set(shrunk)}
    rows = [
        {"tag": tag, "job_id": job_id}
        for job_id, names in tags.items()
        for tag in names
        if tag not in kept.get(job_id, ())
    ]
    insert_rows(tx.conn, job_tag, rows)


def change_many(tx: Transaction, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Overwrite columns of many jobs, which may differ in the columns, by the jobs' ids."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for job_id, columns in values.items():
        alike.setdefault(tuple(sorted(columns)), []).append(job_id)
    for names, job_ids in alike.items():
        to: dict[str, list[Any]] = {
            name: [values[job_id][name] for job_id in job_ids] for name in names
        }
        to["updated_at"] = [tx.now] * len(job_ids)
        update_rows(tx.conn, job, {"id": job_ids}, to)


def change(tx: Transaction, job_id: str, values: Mapping[str, Any]) -> None:
    """Overwrite columns of one job."""
    changed = {"updated_at": tx.now, **values}
    tx.conn.execute(update(job).where(job.c.id == job_id).values(**changed))


class Resumed(NamedTuple):
    """What becomes of a job that is no longer paused.

    Attributes:
        state: its state.
        unresolved_reason: why it cannot run, if it cannot.
        first_fire: when it fires first, if it had no cursor; ``None``: its cursor stays.
    """

    state: JobState
    unresolved_reason: str | None = None
    first_fire: datetime | None = None


def pause(tx: Transaction, job_ids: Sequence[str], actor: str | None, reason: str | None) -> None:
    """Pause locked jobs; those that are paused already keep the time of their pause."""
    values = {
        "state": "paused", "paused_by": actor, "paused_reason": reason,
        "paused_at": func.coalesce(job.c.paused_at, bindparam("now", type_=Instant)),
    }  # fmt: skip
    _change_alike(tx, job_ids, values)


def resume(tx: Transaction, job_ids: Sequence[str], resumed: Resumed) -> None:
    """End the pause of locked jobs."""
    values = {
        "state": resumed.state, "unresolved_reason": resumed.unresolved_reason,
        "paused_by": None, "paused_reason": None, "paused_at": None, "watched_since": tx.now,
    }  # fmt: skip
    if resumed.first_fire is not None:
        values["next_fire_at"] = resumed.first_fire
    _change_alike(tx, job_ids, values)


def _change_alike(tx: Transaction, job_ids: Sequence[str], values: Mapping[str, Any]) -> None:
    """Change the same columns of many jobs, and raise their revisions."""
    if job_ids:
        chosen = update(job).where(among(tx.dialect.name, job.c.id, "ids"))
        also = {"revision": job.c.revision + 1, "updated_at": tx.now}
        tx.conn.execute(chosen.values({**values, **also}), {"ids": list(job_ids), "now": tx.now})


def remove(tx: Transaction, job_ids: Sequence[str]) -> None:
    """Delete jobs; their runs stay as history."""
    for key in (job_tag.c.job_id, job.c.id):
        chosen = among(tx.dialect.name, key, "ids")
        tx.conn.execute(delete(key.table).where(chosen), {"ids": list(job_ids)})


def due(tx: Transaction, limit: int) -> Sequence[JobRow]:
    """Lock and return active jobs that are due, except for those that another worker is firing.

    Only the columns `FIRING` are read: each further column cost one microsecond per job.
    """
    statement = tx.dialect.lock_rows(_DUE, skip_locked=True)
    return job_rows(tx.conn.execute(statement, {"now": tx.now, "limit": limit}))


class Cursor(NamedTuple):
    """The position at which a job's cursor was read, and its new one."""

    job_id: str
    seen: datetime
    revision: int
    next_fire_at: datetime | None
    last_nominal: datetime | None
    fired_count: int
    state: str


def advance(tx: Transaction, cursors: Sequence[Cursor]) -> set[str]:
    """Advance cursors by compare-and-set, and return the ids whose cursor had moved.

    Args:
        tx: the transaction that has read the jobs with `due`.
        cursors: one for each job.
    """
    ids, seen, revisions, following, nominal, fired, states = zip(*cursors, strict=True)
    where = {"id": ids, "next_fire_at": seen, "revision": revisions}
    to = {
        "next_fire_at": following, "last_nominal": nominal, "fired_count": fired, "state": states,
    }  # fmt: skip
    if update_rows(tx.conn, job, where, to) == len(cursors):
        return set()
    stored = {row.id: row for row in lock(tx, ids)}
    return {
        cursor.job_id
        for cursor in cursors
        if cursor.job_id not in stored
        or stored[cursor.job_id].last_nominal != cursor.last_nominal
        or stored[cursor.job_id].next_fire_at != cursor.next_fire_at
    }


def lock_counts(tx: Transaction, failed: Set[str], succeeded: Set[str]) -> list[str]:
    """Lock the jobs whose consecutive failures will change, before their runs are locked.

    All transactions lock jobs before runs; the opposite order would deadlock with them.
    """
    wanted = set(failed)
    if succeeded:  # read without a lock: MariaDB would lock rows before it filters them
        failing = _failing_among(tx.dialect.name)
        wanted.update(tx.conn.execute(failing, {"ids": sorted(succeeded)}).scalars())
    if not wanted:
        return []
    statement = select(job.c.id).where(job.c.id.in_(sorted(wanted))).order_by(job.c.id)
    return list(tx.conn.execute(tx.dialect.lock_rows(statement)).scalars())


def count_failure(tx: Transaction, job_id: str) -> None:
    """Add one to the consecutive failures of a locked job, and let its watch rules be checked."""
    incremented = {"consecutive_failures": job.c.consecutive_failures + 1, "watch_at": tx.now}
    tx.conn.execute(update(job).where(job.c.id == job_id).values(**incremented))


def reset_failures(tx: Transaction, job_id: str) -> None:
    """Reset the consecutive failures of a locked job, after a success."""
    tx.conn.execute(update(job).where(job.c.id == job_id).values(consecutive_failures=0))


def set_watch(
    tx: Transaction, job_ids: Sequence[str], at: datetime | None, alarm: str | None
) -> None:
    """Store when to check the watch rules of locked jobs next, and which rules they break.

    Args:
        tx: the transaction.
        job_ids: the jobs.
        at: the time of the check; ``None``: none before a run fails.
        alarm: the kinds of events of the broken rules; ``None``: no rule is broken.
    """
    statement = update(job).where(job.c.id.in_(job_ids))
    tx.conn.execute(statement.values(watch_at=at, alarm=alarm))


def count_by_state(conn: Connection) -> dict[str, int]:
    """Count the jobs, by state, up to `COUNTED` in each."""
    return bounded_counts(conn, job, _STATES.items())


def count_failing(conn: Connection) -> int:
    """Count the jobs whose last run has failed, up to `COUNTED`."""
    return bounded_counts(conn, job, [("failing", FAILING)]).get("failing", 0)


def _filtered(statement: Select[Any], wanted: JobFilter) -> Select[Any]:
    if wanted.state is not None:
        statement = statement.where(_STATES[wanted.state])
    if wanted.failing:
        statement = statement.where(FAILING)
    for column, value in (
        (job.c.task, wanted.task),
        (job.c.queue, wanted.queue),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.tag is not None:
        # Not a subquery: on a caller's session, MariaDB would read an older snapshot of that.
        statement = statement.join(job_tag, job_tag.c.job_id == job.c.id)
        statement = statement.where(job_tag.c.tag == wanted.tag)
    for listed, values in ((job.c.owner, wanted.owners), (job.c.id, wanted.ids)):
        if values is not None:
            statement = statement.where(listed.in_(values))
    if wanted.text:
        matches = job.c.id.icontains(wanted.text, autoescape=True)
        statement = statement.where(matches | job.c.task.icontains(wanted.text, autoescape=True))
    return statement


@cache
def _failing_among(database: str) -> Select[Any]:
    return select(job.c.id).where(among(database, job.c.id, "ids"), FAILING)


TRIES = 5
"""The number of attempts to insert jobs whose ids conflict with rows that are then not found."""

FIRING = (
    job.c.id, job.c.uid, job.c.task, job.c.args, job.c.trigger, job.c.options, job.c.queue,
    job.c.state, job.c.feeds, job.c.next_fire_at, job.c.last_nominal, job.c.fired_count,
    job.c.revision,
)  # fmt: skip
_DUE = (
    select(*FIRING)
    .where(
        ACTIVE,
        job.c.next_fire_at <= bindparam("now", type_=Instant),
        ~exists(select(control.c.name).where(control.c.name == STOPPED)),
    )
    .order_by(job.c.next_fire_at, job.c.id)
    .limit(bindparam("limit"))
)
_UIDS = select(job.c.id, job.c.uid).where(job.c.id.in_(bindparam("wanted", expanding=True)))
