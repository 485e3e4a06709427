"""Counts of a job's runs: by period, as a calendar shows them, and of those that are unfinished."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from duly.errors import ConfigurationError
from duly.model.checks import instant
from duly.model.event import Event
from duly.model.record import Record, SafeText, record
from duly.operations.core import Core
from duly.operations.inputs import owner_names, page_size
from duly.store import history, jobs
from duly.store import run_counts as counted
from duly.store.history import EventFilter
from duly.store.rows import event_record

MAX_PERIODS = 100
_EXAMINED_EVENTS = 100


@record
class RunCounts(Record):
    """How many runs of a job were created in a period, by state.

    Attributes:
        since: the start of the period, inclusive.
        until: the end of the period, exclusive.
        states: the number of runs in each state; states without runs are left out.
        more: whether the period has more runs than were counted: its newest ones were.
    """

    since: datetime
    until: datetime
    states: dict[str, int]
    more: bool


@record
class BackfillProgress(Record):
    """How far the newest backfills of a job are that have unfinished runs.

    Attributes:
        runs: the number of runs that they have created or revived.
        unfinished: the number of these that have not finished.
        first: the first nominal time of the newest of them.
        last: the last nominal time of it.
        at: when it was requested.
        actor: who requested it, if that is known.
        reason: why, if the actor said so.
    """

    runs: int
    unfinished: int
    first: datetime | None = None
    last: datetime | None = None
    at: datetime | None = None
    actor: str | None = None
    reason: SafeText | None = None


@record
class UnfinishedRuns(Record):
    """The unfinished runs of a job; counting stops at 10,000.

    Attributes:
        states: the number of runs that are ``scheduled``, ``ready`` and ``running``; states without
            runs are left out.
        backfill: the progress of its backfills, if one has unfinished runs.
    """

    states: dict[str, int]
    backfill: BackfillProgress | None = None


def run_counts(
    core: Core,
    job_id: str,
    times: Sequence[datetime],
    *,
    limit: int = 200,
    owners: Sequence[str] | None = None,
) -> list[RunCounts]:
    """Count the runs of a job that were created between each two successive times, by state.

    Args:
        job_id: the job's id; runs of an earlier job with this id are counted too.
        times: 2 to 101 aware datetimes in ascending order.
        limit: of each period, the number of newest runs that are counted, 1 to 1000.
        owners: count only runs of these owners; default: all.

    Raises:
        ConfigurationError: the number of times, their order or ``limit`` is not valid, or
            ``owners`` is not a list of names.
        NaiveDatetimeError: a time has no time zone.
    """
    ends = [instant("times", moment) for moment in times]
    if not 2 <= len(ends) <= MAX_PERIODS + 1:
        raise ConfigurationError(f"times has {len(ends)} items; give 2 to {MAX_PERIODS + 1}")
    if any(since >= until for since, until in pairwise(ends)):
        raise ConfigurationError("times must be in ascending order, without duplicates")
    size = page_size(limit)
    own = None if owners is None else owner_names(owners)
    with core.store.read() as conn:
        found = counted.of_periods(conn, job_id, ends, size, own)
    return [
        RunCounts(since, until, dict(period.states), period.more)
        for (since, until), period in zip(pairwise(ends), found, strict=True)
    ]


def unfinished(core: Core, job_id: str) -> UnfinishedRuns:
    """Count the unfinished runs of a job, and tell how far its backfills are.

    Raises:
        JobNotFound: the job does not exist.
    """
    with core.store.read() as conn:
        job = jobs.find(conn, job_id)
        if job is None:
            raise jobs.not_found(conn, job_id)
        found = counted.unfinished(conn, job_id, job.uid)
        states: dict[str, int] = {}
        for (state, _cause), number in found.items():
            states[state] = states.get(state, 0) + number
        rest = sum(number for (_state, cause), number in found.items() if cause == "backfill")
        if not rest:
            return UnfinishedRuns(states)
        wanted = EventFilter(
            kind="job.backfilled", job=job_id, newest=True, limit=_EXAMINED_EVENTS,
            since=job.created_at,
        )  # fmt: skip
        rows = history.events(conn, wanted)
    return UnfinishedRuns(states, _progress([event_record(row) for row in rows], rest))


def _progress(newest_first: Sequence[Event], rest: int) -> BackfillProgress:
    """Return the progress of the newest backfills that have at least ``rest`` runs together.

    Runs start oldest first, so the unfinished ones are those of the newest backfills.
    """
    if not newest_first:
        return BackfillProgress(rest, rest)
    newest, total = newest_first[0], 0
    of_newest = [event for event in newest_first if _is_part(event, newest)]
    for event in newest_first:
        if total >= rest and event not in of_newest:
            break
        total += _number(event.detail.get("runs"))
    ends = [
        datetime.fromisoformat(text)
        for event in of_newest
        for text in (event.detail.get("first"), event.detail.get("last"))
        if isinstance(text, str)
    ]
    return BackfillProgress(
        runs=max(total, rest),
        unfinished=rest,
        first=min(ends, default=None),
        last=max(ends, default=None),
        at=newest.at,
        actor=newest.actor,
        reason=newest.reason,
    )


def _is_part(event: Event, newest: Event) -> bool:
    """Return whether two events are parts of one request: a backfill is stored in several."""
    return event.id == newest.id or (
        event.request_id is not None and event.request_id == newest.request_id
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
