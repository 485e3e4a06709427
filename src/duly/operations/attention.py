"""What needs a person now: problems of the whole, and jobs that are late, silent or failing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from duly.model.finding import Finding
from duly.model.job import JobRecord
from duly.model.record import Record, SafeText, record
from duly.model.watch import Performance, Watch
from duly.operations import problems
from duly.operations.core import Core
from duly.operations.inputs import page_size
from duly.operations.jobs.find import read_jobs
from duly.store import attention as rows
from duly.store import control, examination, jobs, watched
from duly.store.rows import JobRow, definition_of, worker_record

Kind = Literal["late", "silent", "waiting", "blocked", "overrun", "unresolved", "failing", "paused"]
LATE_AFTER = timedelta(seconds=5)
LONG_RUN = timedelta(hours=1)
LONG_PAUSE = timedelta(days=1)


@record
class Concern(Record):
    """A job that does not run as it should.

    Attributes:
        kind: ``late``: its next nominal time has passed; ``silent``: it breaks its watch rule of
            when it runs or succeeds; ``waiting``: its runs wait in a queue that is paused or that
            no worker serves; ``blocked``: later times are skipped, or wait, because a run has not
            ended for an hour; ``overrun``: it breaks its watch rule of how long it runs;
            ``unresolved``: it cannot run with the deployed code; ``failing``: its last run failed;
            ``paused``: for more than a day.
        job: the job with its newest run.
        what: what happened, at ``since``: "should have fired", "last succeeded".
        since: when that was; ``None``: it is not known.
        why: the reason, or what was expected instead.
        run_id: the run that blocks the job, or that takes too long.
    """

    kind: Kind
    job: JobRecord
    what: str
    since: datetime | None = None
    why: SafeText | None = None
    run_id: str | None = None


@record
class Attention(Record):
    """What needs a person.

    Attributes:
        at: the instant, by the scheduler's clock.
        problems: what is wrong with the scheduler as a whole, the gravest first.
        concerns: the jobs that do not run as they should, the gravest kind first.
        more: the kinds of which there are more jobs than ``concerns`` lists.
    """

    at: datetime
    problems: list[Finding]
    concerns: list[Concern]
    more: list[Kind]


class _Case(NamedTuple):
    """What `Concern` says of a job, before the job's record is read."""

    what: str
    since: datetime | None = None
    why: str | None = None
    run_id: str | None = None


_Found = Iterator[tuple[JobRow, _Case]]


def attention(core: Core, *, limit: int = 8) -> Attention:
    """Return what needs a person: problems, and jobs that are late, silent, stuck or failing.

    What it reads is bounded, so that it takes no longer with many jobs and runs. While the
    scheduler is switched off, jobs that are late or waiting for that reason are left out.

    Args:
        limit: the maximum number of jobs of each kind; 1 to 1000.

    Raises:
        ConfigurationError: the limit is out of range.
    """
    size = page_size(limit)
    with core.store.read() as conn:
        now = core.store.time.now()
        concerns, more, known = list[Concern](), list[Kind](), set[str]()
        for kind, find in _KINDS.items():
            found = {row.id: (row, case) for row, case in find(conn, now, size + 1)}
            if kind in _SILENT:  # one reason is enough
                found = {key: each for key, each in found.items() if key not in known}
                known |= found.keys()
            if len(found) > size:
                more.append(kind)
            some = list(found.values())[:size]
            records = read_jobs(conn, [row for row, _case in some])
            concerns += [
                Concern(kind, record, *case)
                for record, (_row, case) in zip(records, some, strict=True)
                if kind != "blocked" or record.options.overlap in ("skip", "queue")
            ]
        return Attention(now, problems.find(core, conn), concerns, more)


def _late(conn: Connection, now: datetime, limit: int) -> _Found:
    if control.stopped(conn) is None:
        active = jobs.JobFilter(state="active")
        for row in jobs.page_by_next_fire(conn, active, limit=limit):
            if row.next_fire_at is not None and row.next_fire_at < now - LATE_AFTER:
                yield row, _Case("should have fired", row.next_fire_at)


def _silent(conn: Connection, now: datetime, limit: int) -> _Found:
    del now
    for row, performance, watch, alarms in _alarmed(conn, limit):
        due = min(filter(None, (performance.next_fire_at, performance.waiting_since)), default=None)
        if "run.late" not in alarms:
            continue
        if watch.expected_every is None:
            yield row, _Case("was due", due, "it has not started")
        else:
            wanted = f"a success is expected every {watch.expected_every:g} s"
            success = performance.last_success_at
            what = "last succeeded" if success else "has not succeeded since it was added"
            yield row, _Case(what, success or performance.since, wanted)


def _overrun(conn: Connection, now: datetime, limit: int) -> _Found:
    del now
    for row, performance, watch, alarms in _alarmed(conn, limit):
        if "run.overrun" in alarms:
            wanted = f"it is expected to take at most {watch.overrun_after:g} s"
            yield row, _Case("has been running since", performance.running_since, wanted)


def _alarmed(conn: Connection, limit: int) -> Iterator[tuple[JobRow, Performance, Watch, set[str]]]:
    for row in rows.alarmed(conn, limit):
        watch = definition_of(row).options.watch
        if watch is not None:
            yield row, watched.performance(conn, row), watch, set((row.alarm or "").split())


def _waiting(conn: Connection, now: datetime, limit: int) -> _Found:
    if control.stopped(conn) is not None:
        return
    paused = {name: row for name, row in control.queues(conn).items() if row.paused_at is not None}
    workers = [row for row in examination.live_workers(conn, now) if not row.draining]
    served = {name for row in workers for name in worker_record(row).queues}
    for name in examination.ready_queues(conn):
        if name in served and name not in paused:
            continue
        why = f"no worker serves its queue {name!r}"
        if name in paused:
            by = f" by {paused[name].paused_by}" if paused[name].paused_by else ""
            reason = f": {paused[name].paused_reason}" if paused[name].paused_reason else ""
            why = f"its queue {name!r} is paused{by}{reason}"
        found = rows.waiting(conn, name, now - problems.PATIENCE, limit)
        yield from _with_rows(
            conn, {each.job_id: _Case("has a run that was due", each.due_at, why) for each in found}
        )


def _blocked(conn: Connection, now: datetime, limit: int) -> _Found:
    why = "it has not ended, so that later times do not run"
    cases = {
        found.job_id: _Case("started a run", found.started_at, why, found.run_id)
        for found in rows.blocked(conn, now - LONG_RUN, limit)
    }
    yield from _with_rows(conn, cases)


def _unresolved(conn: Connection, now: datetime, limit: int) -> _Found:
    del now
    for row in jobs.page(conn, jobs.JobFilter(state="unresolved"), limit=limit):
        yield row, _Case("cannot run", None, row.unresolved_reason or "its task is not registered")


def _failing(conn: Connection, now: datetime, limit: int) -> _Found:
    del now
    for row in jobs.page(conn, jobs.JobFilter(failing=True), limit=limit):
        number = row.consecutive_failures
        yield row, _Case(f"{number:,} {'failure' if number == 1 else 'failures'} in a row")


def _paused(conn: Connection, now: datetime, limit: int) -> _Found:
    for row in rows.paused_since(conn, now - LONG_PAUSE, limit):
        by = f"by {row.paused_by}" if row.paused_by else None
        why = ": ".join(filter(None, (by, row.paused_reason)))
        yield row, _Case("was paused", row.paused_at, why or None)


def _with_rows(conn: Connection, cases: Mapping[str, _Case]) -> _Found:
    found = {row.id: row for row in jobs.find_many(conn, cases)}
    for job_id, case in cases.items():
        if job_id in found:
            yield found[job_id], case


_KINDS: dict[Kind, Callable[[Connection, datetime, int], _Found]] = {
    "late": _late,
    "silent": _silent,
    "waiting": _waiting,
    "blocked": _blocked,
    "overrun": _overrun,
    "unresolved": _unresolved,
    "failing": _failing,
    "paused": _paused,
}
_SILENT: tuple[Kind, ...] = ("late", "silent", "waiting", "blocked")
"""Kinds of which a job is listed under the first only."""
