"""What needs a person now: problems of the whole, and jobs that are late, silent or failing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
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

Kind = Literal[
    "late", "silent", "waiting", "blocked", "overrun", "unresolved", "failing", "missed", "paused"
]
LATE_AFTER = timedelta(seconds=5)
LONG_RUN = timedelta(hours=1)
LONG_PAUSE = timedelta(days=1)


@record
class Concern(Record):
    """A job that does not run as it should.

    Attributes:
        kind: ``late``: its next nominal time has passed; ``waiting``: its runs wait in a queue that
            is paused or that no worker serves; ``blocked``: later times are skipped, or wait,
            because a run has not ended for an hour; ``silent``: it breaks its watch rule of when it
            starts or succeeds, for none of these reasons; ``overrun``: it breaks its watch rule of
            how long it runs; ``unresolved``: it cannot run with the deployed code; ``failing``: its
            last run failed; ``missed``: it will not fire again, and its last time passed without a
            run; ``paused``: for more than a day.
        job: the job with its newest run.
        what: what happened, at ``since``: "should have fired", "last succeeded".
        since: when that was; ``None``: it is not known.
        why: the reason, or what was expected instead.
        run_id: the run that blocks the job, that takes too long, or that was missed.
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
        search = _Search(conn, now, size + 1)
        cases, more, known = list[tuple[Kind, JobRow, _Case]](), list[Kind](), set[str]()
        for kind, find in _KINDS.items():
            found = {row.id: (kind, row, case) for row, case in find(search)}
            if kind in _SILENT:  # one reason is enough
                found = {key: each for key, each in found.items() if key not in known}
                known |= found.keys()
            if len(found) > size:
                more.append(kind)
            cases += list(found.values())[:size]
        records = read_jobs(conn, [row for _kind, row, _case in cases])
        concerns = [
            Concern(kind, record, *case)
            for record, (kind, _row, case) in zip(records, cases, strict=True)
        ]
        return Attention(now, problems.find(core, conn), concerns, more)


class _Search:
    """Finds the jobs of each kind.

    Args:
        conn: the connection.
        now: the present instant.
        limit: the maximum number of jobs of each kind.
    """

    def __init__(self, conn: Connection, now: datetime, limit: int) -> None:
        self._conn = conn
        self._now = now
        self._limit = limit

    def late(self) -> _Found:
        """Find active jobs whose next nominal time has passed."""
        if self._is_stopped:
            return
        active = jobs.JobFilter(state="active")
        for row in jobs.page_by_next_fire(self._conn, active, limit=self._limit):
            if row.next_fire_at is not None and row.next_fire_at < self._now - LATE_AFTER:
                yield row, _Case("should have fired", row.next_fire_at)

    def waiting(self) -> _Found:
        """Find jobs whose runs wait in a queue that is paused or that no worker serves."""
        if self._is_stopped:
            return
        queues = control.queues(self._conn)
        paused = {name: row for name, row in queues.items() if row.paused_at is not None}
        workers = examination.live_workers(self._conn, self._now)
        serving = [worker_record(row) for row in workers if not row.draining]
        served = {name for worker in serving for name in worker.queues}
        cases = dict[str, _Case]()
        for name in examination.ready_queues(self._conn):
            if name in served and name not in paused:
                continue
            why = f"no worker serves its queue {name!r}"
            if name in paused:
                why = f"its queue {name!r} is paused"
                why += f" by {paused[name].paused_by}" if paused[name].paused_by else ""
                why += f": {paused[name].paused_reason}" if paused[name].paused_reason else ""
            before = self._now - problems.PATIENCE
            found = rows.waiting(self._conn, name, before, self._limit)
            cases |= {row.job_id: _Case("has a run that was due", row.due_at, why) for row in found}
        yield from self._with_rows(cases)

    def blocked(self) -> _Found:
        """Find jobs that skip later times because a run has not ended for long."""
        why = "it has not ended, so that later times do not run"
        found = rows.blocked(self._conn, self._now - LONG_RUN, self._limit)
        cases = {
            row.job_id: _Case("started a run", row.started_at, why, row.run_id) for row in found
        }
        for row, case in self._with_rows(cases):
            if definition_of(row).options.overlap in ("skip", "queue"):
                yield row, case

    def silent(self) -> _Found:
        """Find jobs that have not started or succeeded when their watch rules expected it."""
        for row, performance, watch in self._alarmed:
            if "run.late" not in (row.alarm or ""):
                continue
            if watch.expected_every is None:
                due = performance.waiting_since or performance.next_fire_at
                yield row, _Case("was due", due, "it has not started")
                continue
            wanted = f"a success is expected every {_words(watch.expected_every)}"
            success = performance.last_success_at
            what = "last succeeded" if success else "has not succeeded since it was added"
            yield row, _Case(what, success or performance.since, wanted)

    def overrun(self) -> _Found:
        """Find jobs with a run that takes longer than their watch rules expect."""
        for row, performance, watch in self._alarmed:
            if "run.overrun" in (row.alarm or "") and watch.overrun_after is not None:
                wanted = f"it is expected to take at most {_words(watch.overrun_after)}"
                yield row, _Case("started its run", performance.running_since, wanted)

    def unresolved(self) -> _Found:
        """Find jobs that cannot run with the deployed code."""
        chosen = jobs.JobFilter(state="unresolved")
        for row in jobs.page(self._conn, chosen, limit=self._limit):
            why = row.unresolved_reason or "its task is not registered"
            yield row, _Case("cannot run", None, why)

    def failing(self) -> _Found:
        """Find jobs whose last run failed."""
        for row in jobs.page(self._conn, jobs.JobFilter(failing=True), limit=self._limit):
            number = row.consecutive_failures
            runs = "run" if number == 1 else f"{number:,} runs"
            yield row, _Case(f"the last {runs} failed")

    def missed(self) -> _Found:
        """Find jobs that will not fire again, and whose last time passed without a run."""
        cases = {
            row.job_id: _Case("was due", row.due_at, row.reason, row.run_id)
            for row in rows.missed(self._conn, self._limit)
        }
        yield from self._with_rows(cases)

    def paused(self) -> _Found:
        """Find jobs that were paused long ago."""
        for row in rows.paused_since(self._conn, self._now - LONG_PAUSE, self._limit):
            by = f"by {row.paused_by}" if row.paused_by else None
            why = ": ".join(filter(None, (by, row.paused_reason)))
            yield row, _Case("was paused", row.paused_at, why or None)

    @cached_property
    def _is_stopped(self) -> bool:
        return control.stopped(self._conn) is not None

    @cached_property
    def _alarmed(self) -> list[tuple[JobRow, Performance, Watch]]:
        found = [
            (row, definition_of(row).options.watch) for row in rows.alarmed(self._conn, self._limit)
        ]
        performances = watched.performances(self._conn, [row for row, _watch in found])
        return [(row, performances[row.id], watch) for row, watch in found if watch is not None]

    def _with_rows(self, cases: Mapping[str, _Case]) -> _Found:
        found = {row.id: row for row in jobs.find_many(self._conn, cases)} if cases else {}
        for job_id, case in cases.items():
            if job_id in found:
                yield found[job_id], case


def _words(seconds: float) -> str:
    """Return a duration in one unit: "4 h", "90 s"."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


_KINDS: dict[Kind, Callable[[_Search], _Found]] = {
    "late": _Search.late,
    "waiting": _Search.waiting,
    "blocked": _Search.blocked,
    "silent": _Search.silent,
    "overrun": _Search.overrun,
    "unresolved": _Search.unresolved,
    "failing": _Search.failing,
    "missed": _Search.missed,
    "paused": _Search.paused,
}
_SILENT: tuple[Kind, ...] = ("late", "waiting", "blocked", "silent")
"""Kinds of which a job is listed under the first only, which tells most of why it is silent."""
