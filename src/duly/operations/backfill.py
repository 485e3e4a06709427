"""Backfill: run nominal times of the past that did not run (engine rule 16)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from duly.decisions.apply import revive_run
from duly.decisions.policy import INSTANT, admit, next_fire
from duly.errors import ConfigurationError, JobNotFound, RevisionConflict, StateError
from duly.model.backfill import Backfill
from duly.model.checks import instant, whole
from duly.model.policy import KEEP_DAYS, JobOptions
from duly.operations.core import Core
from duly.store import backfills, jobs, runs
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run, wait_for_slot
from duly.triggers import After, Trigger

PRIORITY = 100
"""The default priority of a backfill's runs: other runs have 0, and smaller numbers run first."""

MAX_WALK = 100_000
"""The number of nominal times that one call may look at."""

MAX_RUNS = 10_000
CHUNK = 500
"""The number of runs stored in one transaction: on SQLite all other writers wait for it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Nominal times of a job that are decided, and the job as it was when they were found.

    Attributes:
        start: the first instant.
        end: the instant before which they lie.
        notes: what was left out, in words.
    """

    job: JobRow
    trigger: Trigger
    options: JobOptions
    start: datetime
    end: datetime
    times: tuple[datetime, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the times of a stretch.

    Attributes:
        fresh: times without a run of their own.
        revivable: the missed or skipped runs of other times.
        settled: the number of times that have run, or will without this.
    """

    fresh: tuple[datetime, ...]
    revivable: tuple[RunRow, ...]
    settled: int

    @property
    def times(self) -> tuple[datetime, ...]:
        """The times that would run, oldest first."""
        revivable = [row.scheduled_for for row in self.revivable if row.scheduled_for is not None]
        return tuple(sorted([*self.fresh, *revivable]))


def backfill(
    core: Core,
    job_id: str,
    start: datetime,
    end: datetime,
    *,
    dry_run: bool = False,
    force: bool = False,
    limit: int = 1000,
    priority: int = PRIORITY,
    actor: str | None = None,
) -> Backfill:
    """Run the nominal times of a job in ``[start, end)`` that did not run.

    Times that have run, are running or were cancelled are left alone; missed and skipped times
    run now. The runs have the cause ``backfill``; they start as the job's ``max_running`` and
    ``overlap`` allow, oldest first, and never keep its schedule from firing.

    Args:
        job_id: the job's id; a paused or finished job too.
        start: an aware instant.
        end: an aware instant; times that the job's schedule has yet to decide are left to it.
        dry_run: whether only to count, and write nothing.
        force: whether to go back further than history is kept, where times that have run may run
            again.
        limit: the number of runs that it may create, 1 to 10,000; if there are more, none is
            created.
        priority: the priority of the runs; smaller starts first.
        actor: who acts, for the audit trail.

    Returns:
        What was done, or with ``dry_run`` would be.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: an empty stretch, more runs than ``limit``, times beyond history
            without ``force``, or a job without times of its own.
        StateError: the job's trigger cannot be read.
        RevisionConflict: the job was changed meanwhile.
        NaiveDatetimeError: ``start`` or ``end`` has no time zone.
    """
    first, last = instant("start", start), instant("end", end)
    most = whole(1, MAX_RUNS)("limit", limit)
    urgency = whole(-32768, 32767)("priority", priority)
    with core.store.read() as conn:
        now = core.store.time.now()
        stretch = survey(conn, job_id, first, last, now)
        plan = _plan(conn, stretch.job.uid, stretch.times)
    refusals = [None if force else _forgotten(stretch, now), _too_many(plan, most)]
    notes = [*stretch.notes, *filter(None, refusals)]
    if dry_run:
        return _result(stretch, [plan], True, notes)
    for refusal in filter(None, refusals):
        raise ConfigurationError(refusal)
    done = [
        _fill_chunk(core, stretch, plan.times[begin : begin + CHUNK], urgency, actor)
        for begin in range(0, len(plan.times), CHUNK)
    ]
    return _result(stretch, [*done, Plan((), (), plan.settled)], False, notes)


def _fill_chunk(
    core: Core,
    stretch: Stretch,
    times: tuple[datetime, ...],
    priority: int,
    actor: str | None,
) -> Plan:
    def store(tx: Transaction) -> Plan:
        done = _fill(tx, stretch, times, priority)
        tx.record(
            "job.backfilled", job_id=stretch.job.id, first=times[0].isoformat(),
            last=times[-1].isoformat(), runs=len(done.times),
        )  # fmt: skip
        return done

    return core.transact(store, actor=actor)


def _too_many(plan: Plan, most: int) -> str | None:
    count = len(plan.times)
    if count <= most:
        return None
    return (
        f"this would create {count:,} runs, more than limit={most:,}; backfill a shorter stretch, "
        f"or pass a higher limit (at most {MAX_RUNS:,})"
    )


def _result(stretch: Stretch, plans: list[Plan], dry_run: bool, notes: list[str]) -> Backfill:
    return Backfill(
        job_id=stretch.job.id,
        start=stretch.start,
        end=stretch.end,
        times=tuple(moment for plan in plans for moment in plan.times),
        made=sum(len(plan.fresh) for plan in plans),
        revived=sum(len(plan.revivable) for plan in plans),
        settled=sum(plan.settled for plan in plans),
        dry_run=dry_run,
        notes=tuple(notes),
    )


def survey(conn: Connection, job_id: str, start: datetime, end: datetime, now: datetime) -> Stretch:
    """Find the nominal times of a job that lie in a stretch of the past.

    Raises:
        JobNotFound: the job does not exist.
        StateError: its trigger cannot be read.
        ConfigurationError: the stretch is empty, not decided yet, or has too many times.
    """
    row = jobs.find(conn, job_id)
    if row is None:
        raise JobNotFound(job_id)
    trigger, options, problem = definition_of(row)
    if trigger is None:
        raise StateError(f"job {job_id!r} cannot be read, so its times are unknown: {problem}")
    if isinstance(trigger, After):
        raise ConfigurationError(
            f"job {job_id!r} has no times of its own: it runs after {list(trigger.parents)}; "
            "backfill those"
        )
    if start >= end:
        raise ConfigurationError(f"start={start} is not before end={end}: the stretch is empty")
    open_from = _undecided_from(row, now)
    if start >= open_from:
        raise ConfigurationError(
            f"start={start}: the times of job {job_id!r} from {open_from} on are not decided yet; "
            "its own schedule will decide them"
        )
    notes = []
    if end > open_from:
        notes.append(f"end is {open_from}: later times are decided by the job's own schedule")
        end = open_from
    times = _times(trigger, options, start, end)
    return Stretch(row, trigger, options, start, end, times, tuple(notes))


def _forgotten(stretch: Stretch, now: datetime) -> str | None:
    """Return why it is unknown what has run, if the stretch begins before history does."""
    days = stretch.options.keep if stretch.options.keep is not None else KEEP_DAYS["succeeded"]
    oldest = now - timedelta(days=days)
    if stretch.start >= oldest:
        return None
    return (
        f"runs of job {stretch.job.id!r} before {oldest:%Y-%m-%d %H:%M} UTC are deleted from "
        f"history after {days:g} days: times that have run would run again; pass force=True if "
        "they may"
    )


def _plan(conn: Connection, job_uid: str, times: Sequence[datetime]) -> Plan:
    """Find out which of these times have not run."""
    if not times:
        return Plan((), (), 0)
    rows = {row.scheduled_for: row for row in backfills.runs_at(conn, job_uid, times)}
    fresh = tuple(moment for moment in times if moment not in rows)
    revivable = tuple(row for row in rows.values() if row.state in ("missed", "skipped"))
    return Plan(fresh, revivable, len(times) - len(fresh) - len(revivable))


def _fill(tx: Transaction, stretch: Stretch, times: Sequence[datetime], priority: int) -> Plan:
    """Create or revive the runs of some times of a stretch.

    Raises:
        JobNotFound: the job was removed since the stretch was found.
        RevisionConflict: the job was changed since the stretch was found.
    """
    job = next(iter(jobs.lock(tx, [stretch.job.id])), None)
    if job is None or job.uid != stretch.job.uid:
        raise JobNotFound(stretch.job.id)
    if job.revision != stretch.job.revision:
        raise RevisionConflict(job.id, stretch.job.revision, job.revision)
    wanted = _plan(tx.conn, job.uid, times)
    options = replace(stretch.options, expires=None, priority=priority)
    occupancy = runs.occupancy(tx.conn, [job.id])[job.id]
    rows = []
    locked = {row.scheduled_for: row for row in runs.lock(tx, [row.id for row in wanted.revivable])}
    for moment in wanted.times:
        waits = admit(options, "backfill", occupancy) != "ready"
        if moment in locked:
            revive_run(
                tx, locked[moment], waits=waits, cause="backfill", actor=tx.actor,
                feeds=job.feeds, priority=priority, queue=options.queue,
            )  # fmt: skip
            continue
        row = new_run(
            tx.run_id(), Origin("backfill", tx.actor, job.id, job.uid, moment, feeds=job.feeds),
            task=job.task, args=job.args, options=options, now=tx.now, due_at=tx.now,
        )  # fmt: skip
        rows.append(wait_for_slot(row) if waits else row)
    runs.add(tx, rows)
    _take_out(tx, stretch, wanted.fresh)
    return wanted


def _undecided_from(row: JobRow, now: datetime) -> datetime:
    """Return the first instant whose times are not decided, or never will be."""
    cursor: datetime | None = row.next_fire_at
    last: datetime = row.last_nominal or now
    return min(cursor, now + INSTANT) if cursor is not None else min(last, now) + INSTANT


def _times(
    trigger: Trigger, options: JobOptions, start: datetime, end: datetime
) -> tuple[datetime, ...]:
    times: list[datetime] = []
    moment = next_fire(trigger, options, start - INSTANT)
    while moment is not None and moment < end:
        times.append(moment)
        if len(times) > MAX_WALK:
            raise ConfigurationError(
                f"more than {MAX_WALK:,} nominal times lie between {start} and {end}; "
                "backfill a shorter stretch at a time"
            )
        moment = next_fire(trigger, options, moment)
    return tuple(times)


def _take_out(tx: Transaction, stretch: Stretch, fresh: Sequence[datetime]) -> None:
    """Take times that run now out of the ranges of missed times that contain them."""
    if not fresh:
        return
    for row in backfills.ranges_over(tx, stretch.job, fresh[0], fresh[-1]):
        inner = [moment for moment in fresh if row.first <= moment <= row.last]
        if inner and _is_made_by(stretch.trigger, row):
            before = _before(stretch.trigger, row, inner[0])
            after = _after(stretch.trigger, row, inner[-1], row.count - before.count - len(inner))
            backfills.replace_range(tx, row, [piece for piece in (before, after) if piece.count])


def _is_made_by(trigger: Trigger, row: backfills.Range) -> bool:
    """Return whether a range holds times of this trigger; an earlier trigger's stays as it is."""
    due = trigger.due(row.first, row.last, keep=0, limit=row.count)
    return due.complete and due.count == row.count - 1


def _before(trigger: Trigger, row: backfills.Range, until: datetime) -> backfills.Piece:
    if row.first >= until:
        return backfills.Piece(row.first, row.first, 0)
    due = trigger.due(row.first, until - INSTANT, keep=0, limit=row.count)
    return backfills.Piece(row.first, due.last or row.first, 1 + due.count)


def _after(trigger: Trigger, row: backfills.Range, last: datetime, count: int) -> backfills.Piece:
    return backfills.Piece(trigger.next_after(last) or row.last, row.last, count)
