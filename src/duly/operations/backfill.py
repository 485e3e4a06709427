"""Backfill: run past nominal times that did not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from duly.decisions.existing_runs import revive_run
from duly.decisions.new_runs import admit_new
from duly.decisions.policy import INSTANT, admit, next_fire
from duly.errors import ConfigurationError, JobNotFound, RevisionConflict, StateError
from duly.model.actor import Actor
from duly.model.backfill import MAX_RUNS, PRIORITY, Backfill
from duly.model.checks import instant, whole
from duly.model.policy import KEEP_DAYS, JobOptions
from duly.operations.core import Core
from duly.store import backfills, jobs, runs
from duly.store.host.session_types import HostSession
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run
from duly.triggers import After, Trigger

MAX_TIMES = 100_000
"""The maximum number of nominal times that one call examines."""

_Fill = Callable[[Transaction], "Plan"]
"""Stores a part of a backfill's runs."""

CHUNK = 500
"""The number of runs stored in one transaction: on SQLite all other writers wait for it."""


@dataclass(frozen=True, slots=True)
class DecidedTimes:
    """The decided nominal times of a job in a period, and the job as it was when they were found.

    Attributes:
        start: the start of the period, inclusive.
        end: the end of the period, exclusive.
        notes: remarks on what was left out, as sentences.
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
    """What a backfill does with each of some nominal times.

    Attributes:
        fresh: the times that have no run.
        revivable: the missed or skipped runs, which are revived.
        settled: the number of times that are left alone: their run succeeded, failed, was
            cancelled, or has not finished.
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
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> Backfill:
    """Run the nominal times of a job in ``[start, end)`` that did not run.

    Times that have run, are running or were cancelled are left alone; missed and skipped times
    run now. The runs have the cause ``backfill``; they start as the job's ``max_running`` and
    ``overlap`` allow, oldest first, and never keep its schedule from firing.

    Args:
        job_id: the job's id; the job may be paused or finished.
        start: the start of the period, an aware datetime.
        end: the end of the period, an aware datetime; times that the job's schedule has not decided
            yet are left to it.
        dry_run: whether to report what would be done, and write nothing.
        force: whether to go back further than history is kept, so that times that have run may run
            again.
        limit: the maximum number of runs, 1 to 10,000; if there would be more, none is created.
        priority: the priority of the runs; smaller numbers start first.
        session: see `add`. All runs are then stored in one transaction, the caller's.
        actor: who acts, for the audit trail.

    Returns:
        What was done, or would be done without ``dry_run``.

    Raises:
        JobNotFound: the job does not exist.
        ConfigurationError: the period is empty or not decided yet, has more runs than ``limit``, or
            begins before history does and ``force`` is not set; the job has no times of its own; or
            an option is out of range.
        StateError: the job's trigger cannot be read.
        RevisionConflict: the job was changed meanwhile.
        NaiveDatetimeError: ``start`` or ``end`` has no time zone.
    """
    first, last = instant("start", start), instant("end", end)
    max_runs = whole(1, MAX_RUNS)("limit", limit)
    priority = whole(-32768, 32767)("priority", priority)

    def examine(conn: Connection) -> _Examined:
        now = core.store.time.now()
        decided = find_decided(conn, job_id, first, last, now)
        plan = _plan(conn, decided.job.uid, decided.times)
        refusals = [None if force else _beyond_history(decided, now), _too_many(plan, max_runs)]
        return _Examined(decided, plan, tuple(filter(None, refusals)))

    def perform(examined: _Examined, store: Callable[[_Fill], Plan]) -> Backfill:
        if dry_run:
            return examined.result([examined.plan], dry_run=True)
        for refusal in examined.refusals:
            raise ConfigurationError(refusal)
        done = [store(fill) for fill in examined.chunks(priority)]
        return examined.result([*done, Plan((), (), examined.plan.settled)])

    if session is not None:
        return core.transact(
            lambda tx: perform(examine(tx.conn), lambda fill: fill(tx)),
            session=session, actor=actor,
        )  # fmt: skip
    with core.store.read() as conn:
        examined = examine(conn)
    return perform(examined, lambda fill: core.transact(fill, actor=actor))


@dataclass(frozen=True, slots=True)
class _Examined:
    """A backfill before anything is stored.

    Attributes:
        refusals: why it is refused, unless it is a dry run.
    """

    decided: DecidedTimes
    plan: Plan
    refusals: tuple[str, ...]

    def chunks(self, priority: int) -> Iterator[_Fill]:
        """Yield functions that store the runs, each a part of them."""
        for begin in range(0, len(self.plan.times), CHUNK):
            times = self.plan.times[begin : begin + CHUNK]
            yield partial(_fill_chunk, decided=self.decided, times=times, priority=priority)

    def result(self, plans: Sequence[Plan], *, dry_run: bool = False) -> Backfill:
        """Return what these plans do, as the caller sees it."""
        return _result(self.decided, plans, dry_run, (*self.decided.notes, *self.refusals))


def _fill_chunk(
    tx: Transaction, *, decided: DecidedTimes, times: tuple[datetime, ...], priority: int
) -> Plan:
    done = _fill(tx, decided, times, priority)
    tx.record(
        "job.backfilled", job_id=decided.job.id, first=times[0].isoformat(),
        last=times[-1].isoformat(), runs=len(done.times),
    )  # fmt: skip
    return done


def _too_many(plan: Plan, max_runs: int) -> str | None:
    count = len(plan.times)
    if count <= max_runs:
        return None
    return (
        f"this would create {count:,} runs, more than limit={max_runs:,}; backfill a shorter "
        f"period, or pass a higher limit (at most {MAX_RUNS:,})"
    )


def _result(
    decided: DecidedTimes, plans: Sequence[Plan], dry_run: bool, notes: Sequence[str]
) -> Backfill:
    return Backfill(
        job_id=decided.job.id,
        start=decided.start,
        end=decided.end,
        times=tuple(moment for plan in plans for moment in plan.times),
        made=sum(len(plan.fresh) for plan in plans),
        revived=sum(len(plan.revivable) for plan in plans),
        settled=sum(plan.settled for plan in plans),
        dry_run=dry_run,
        notes=tuple(notes),
    )


def find_decided(
    conn: Connection, job_id: str, start: datetime, end: datetime, now: datetime
) -> DecidedTimes:
    """Find the decided nominal times of a job in a period.

    Raises:
        JobNotFound: the job does not exist.
        StateError: its trigger cannot be read.
        ConfigurationError: the period is empty, not decided yet, or has too many times.
    """
    row = jobs.find(conn, job_id)
    if row is None:
        raise jobs.not_found(conn, job_id)
    trigger, options, problem = definition_of(row)
    if trigger is None:
        raise StateError(f"job {job_id!r} cannot be read, so its times are unknown: {problem}")
    if isinstance(trigger, After):
        raise ConfigurationError(
            f"job {job_id!r} has no times of its own: it runs after {list(trigger.parents)}; "
            "backfill those"
        )
    if start >= end:
        raise ConfigurationError(f"start={start} is not before end={end}: the period is empty")
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
    return DecidedTimes(row, trigger, options, start, end, times, tuple(notes))


def _beyond_history(decided: DecidedTimes, now: datetime) -> str | None:
    """Return why a backfill needs ``force``, if the period begins before history does."""
    days = decided.options.keep if decided.options.keep is not None else KEEP_DAYS["succeeded"]
    oldest = now - timedelta(days=days)
    if decided.start >= oldest:
        return None
    return (
        f"runs of job {decided.job.id!r} before {oldest:%Y-%m-%d %H:%M} UTC are deleted from "
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


def _fill(tx: Transaction, decided: DecidedTimes, times: Sequence[datetime], priority: int) -> Plan:
    """Create or revive the runs of some of the decided times.

    Raises:
        JobNotFound: the job was removed since the times were found.
        RevisionConflict: the job was changed since the times were found.
    """
    job = next(iter(jobs.lock(tx, [decided.job.id])), None)
    if job is None or job.uid != decided.job.uid:
        raise JobNotFound(decided.job.id)
    if job.revision != decided.job.revision:
        raise RevisionConflict(job.id, decided.job.revision, job.revision)
    wanted = _plan(tx.conn, job.uid, times)
    options = replace(decided.options, expires=None, priority=priority)
    occupancy = runs.occupancy(tx.conn, {job.id: job.uid})[job.id]
    rows = []
    locked = {row.scheduled_for: row for row in runs.lock(tx, [row.id for row in wanted.revivable])}
    for moment in wanted.times:
        if moment in locked:
            waits = admit(options, "backfill", occupancy) != "ready"
            revive_run(
                tx, locked[moment], waits=waits, cause="backfill", actor=tx.actor,
                feeds=job.feeds, priority=priority, queue=options.queue,
            )  # fmt: skip
            continue
        row = new_run(
            tx.run_id(), Origin("backfill", tx.actor, job.id, job.uid, moment, feeds=job.feeds),
            task=job.task, args=job.args, options=options, now=tx.now, due_at=tx.now,
        )  # fmt: skip
        admit_new(tx, row, options, occupancy)
        rows.append(row)
    runs.add(tx, rows)
    _remove_from_ranges(tx, decided, wanted.fresh)
    return wanted


def _undecided_from(row: JobRow, now: datetime) -> datetime:
    """Return the first instant from which nominal times are not decided."""
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
        if len(times) > MAX_TIMES:
            raise ConfigurationError(
                f"more than {MAX_TIMES:,} nominal times lie between {start} and {end}; "
                "backfill a shorter period at a time"
            )
        moment = next_fire(trigger, options, moment)
    return tuple(times)


def _remove_from_ranges(tx: Transaction, decided: DecidedTimes, fresh: Sequence[datetime]) -> None:
    """Remove times that run now from the ranges of missed times that contain them."""
    if not fresh:
        return
    for row in backfills.ranges_over(tx, decided.job, fresh[0], fresh[-1]):
        inner = [moment for moment in fresh if row.first <= moment <= row.last]
        if inner and _is_made_by(decided.trigger, row):
            before = _before(decided.trigger, row, inner[0])
            after = _after(decided.trigger, row, inner[-1], row.count - before.count - len(inner))
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
