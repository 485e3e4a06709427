"""Running nominal times of the past that did not run (engine rule 16)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from duly.decisions.apply import revive_run
from duly.decisions.policy import INSTANT, admit, next_fire
from duly.errors import ConfigurationError, JobNotFound, RevisionConflict, StateError
from duly.model.policy import KEEP_DAYS, JobOptions
from duly.store import backfills, jobs, runs
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run, wait_for_slot
from duly.triggers import After, Trigger

PRIORITY = 100
"""What a backfill's runs get at best: smaller numbers run first, and other runs have 0."""

WALK = 100_000
"""Nominal times that are looked at in one call."""


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
    """What is to be done with the times of a stretch.

    Attributes:
        fresh: times without a run of their own.
        held: the missed or skipped runs of the others that did not run.
        settled: how many have run, or will without this.
    """

    fresh: tuple[datetime, ...]
    held: tuple[RunRow, ...]
    settled: int

    @property
    def times(self) -> tuple[datetime, ...]:
        """The times that would run, oldest first."""
        held = [row.scheduled_for for row in self.held if row.scheduled_for is not None]
        return tuple(sorted([*self.fresh, *held]))


def survey(conn: Connection, job_id: str, start: datetime, end: datetime, now: datetime) -> Stretch:
    """Find the nominal times of a job that lie in a stretch of the past.

    Raises:
        JobNotFound: no such job.
        StateError: its trigger cannot be read.
        ConfigurationError: no stretch, none of the past, or one with too many times.
    """
    row = jobs.find(conn, job_id)
    if row is None:
        raise JobNotFound(job_id)
    trigger, options, problem = definition_of(row)
    if trigger is None:
        raise StateError(f"job {job_id!r} cannot be read, so its times are not known: {problem}")
    if isinstance(trigger, After):
        raise ConfigurationError(
            f"job {job_id!r} has no times of its own: it runs after {list(trigger.parents)}; "
            "backfill those"
        )
    if start >= end:
        raise ConfigurationError(f"start={start} is not before end={end}: nothing lies between")
    open_from = _undecided_from(row, now)
    if start >= open_from:
        raise ConfigurationError(
            f"start={start}: the times of job {job_id!r} from {open_from} on are not decided yet; "
            "its own schedule will do it"
        )
    notes = []
    if end > open_from:
        notes.append(f"end is {open_from}: what comes then is decided by the job's own schedule")
        end = open_from
    times = _times(trigger, options, start, end)
    return Stretch(row, trigger, options, start, end, times, tuple(notes))


def forgotten(stretch: Stretch, now: datetime) -> str | None:
    """Why nobody can know any more what has run, if the stretch reaches back that far."""
    days = stretch.options.keep if stretch.options.keep is not None else KEEP_DAYS["succeeded"]
    oldest = now - timedelta(days=days)
    if stretch.start >= oldest:
        return None
    return (
        f"runs of job {stretch.job.id!r} before {oldest:%Y-%m-%d %H:%M} UTC are deleted from "
        f"history after {days:g} days: what ran there would run again; pass force=True if it may"
    )


def plan(conn: Connection, job_uid: str, times: Sequence[datetime]) -> Plan:
    """See which of these times have not run."""
    if not times:
        return Plan((), (), 0)
    rows = {row.scheduled_for: row for row in backfills.runs_at(conn, job_uid, times)}
    fresh = tuple(moment for moment in times if moment not in rows)
    held = tuple(row for row in rows.values() if row.state in ("missed", "skipped"))
    return Plan(fresh, held, len(times) - len(fresh) - len(held))


def fill(tx: Transaction, stretch: Stretch, times: Sequence[datetime], priority: int) -> Plan:
    """Run what has not run of some times of a stretch.

    Raises:
        RevisionConflict: the job was changed since the stretch was found.
    """
    job = next(iter(jobs.lock(tx, [stretch.job.id])), None)
    if job is None or job.uid != stretch.job.uid:
        raise JobNotFound(stretch.job.id)
    if job.revision != stretch.job.revision:
        raise RevisionConflict(job.id, stretch.job.revision, job.revision)
    wanted = plan(tx.conn, job.uid, times)
    options = replace(stretch.options, expires=None, priority=priority)
    held = runs.occupancy(tx.conn, [job.id])[job.id]
    rows = []
    locked = {row.scheduled_for: row for row in runs.lock(tx, [row.id for row in wanted.held])}
    for moment in wanted.times:
        waits = admit(options, "backfill", held) != "ready"
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
    """The first instant whose times the job's own schedule decides, or has nothing to do with."""
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
        if len(times) > WALK:
            raise ConfigurationError(
                f"more than {WALK:,} nominal times lie between {start} and {end}; "
                "backfill a shorter stretch at a time"
            )
        moment = next_fire(trigger, options, moment)
    return tuple(times)


def _take_out(tx: Transaction, stretch: Stretch, fresh: Sequence[datetime]) -> None:
    """Times that run now are missed no longer: what is left of their ranges stays on record."""
    if not fresh:
        return
    for row in backfills.ranges_over(tx, stretch.job, fresh[0], fresh[-1]):
        inner = [moment for moment in fresh if row.first <= moment <= row.last]
        if inner and _is_made_by(stretch.trigger, row):
            before = _before(stretch.trigger, row, inner[0])
            after = _after(stretch.trigger, row, inner[-1], row.count - before.count - len(inner))
            backfills.replace_range(tx, row, [piece for piece in (before, after) if piece.count])


def _is_made_by(trigger: Trigger, row: backfills.Range) -> bool:
    """Whether these are times of this trigger; a range of an earlier one is left as it is."""
    due = trigger.due(row.first, row.last, keep=0, limit=row.count)
    return due.complete and due.count == row.count - 1


def _before(trigger: Trigger, row: backfills.Range, until: datetime) -> backfills.Piece:
    if row.first >= until:
        return backfills.Piece(row.first, row.first, 0)
    due = trigger.due(row.first, until - INSTANT, keep=0, limit=row.count)
    return backfills.Piece(row.first, due.last or row.first, 1 + due.count)


def _after(trigger: Trigger, row: backfills.Range, last: datetime, count: int) -> backfills.Piece:
    return backfills.Piece(trigger.next_after(last) or row.last, row.last, count)
