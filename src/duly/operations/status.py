"""What one may ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from duly.decisions.policy import next_fire
from duly.errors import JobNotFound, RunNotFound
from duly.model.event import Event
from duly.model.identity import is_id
from duly.model.job import JobRecord
from duly.model.run import AttemptRecord, LogLine, RunRecord
from duly.model.worker import WorkerRecord
from duly.store import control, history, jobs, rows, runs, workers


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One queue: why and by whom it is paused, if it is, and its limits over all workers.

    Attributes:
        max_running: how many of its runs may run at once; ``None``: any number.
        rate: how many may start in ``per`` seconds; ``None``: any number.
    """

    name: str
    paused: bool = False
    paused_by: str | None = None
    paused_reason: str | None = None
    max_running: int | None = None
    rate: int | None = None
    per: float | None = None


@dataclass(frozen=True, slots=True)
class MissedRange:
    """Nominal times of a job that did not run, recorded together."""

    first: datetime
    last: datetime
    count: int
    reason: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The whole scheduler at one instant.

    Attributes:
        at: that instant on the scheduler's clock.
        running: whether this process's engine runs.
        stopped: whether the scheduler is switched off for all workers.
        switch: by whom, when and why, if it is.
        jobs: how many jobs are in each state.
        live: how many runs are scheduled, ready and running.
        last_day: how many runs of the last 24 hours are in each state.
        dead: how many runs wait in the dead-letter queue.
    """

    at: datetime
    running: bool
    stopped: bool
    worker_id: str | None
    jobs: dict[str, int]
    live: dict[str, int]
    last_day: dict[str, int]
    dead: int
    workers: list[WorkerRecord] = field(default_factory=list)
    queues: list[QueueStatus] = field(default_factory=list)
    switch: control.Stopped | None = None


def job(conn: Connection, job_id: str) -> JobRecord:
    """One job with its newest run.

    Raises:
        JobNotFound: no such job.
    """
    row = jobs.find(conn, job_id)
    if row is None:
        raise JobNotFound(job_id)
    return _job_records(conn, [row])[0]


def list_jobs(conn: Connection, wanted: jobs.JobFilter) -> list[JobRecord]:
    """Jobs by id, each with its newest run."""
    return _job_records(conn, jobs.page(conn, wanted))


def run(conn: Connection, run_id: str) -> RunRecord:
    """One run.

    Raises:
        RunNotFound: no such run.
    """
    row = runs.find(conn, run_id) if is_id(run_id) else None
    if row is None:
        raise RunNotFound(run_id)
    return rows.run_record(row)


def list_runs(conn: Connection, wanted: runs.RunFilter) -> list[RunRecord]:
    """Runs, newest first."""
    return [rows.run_record(row) for row in runs.page(conn, wanted)]


def attempts(conn: Connection, run_id: str) -> list[AttemptRecord]:
    """A run's unsuccessful attempts, oldest first."""
    found = history.attempts(conn, run_id) if is_id(run_id) else []
    return [rows.attempt_record(row) for row in found]


def run_log(
    conn: Connection, run_id: str, after: int = 0, limit: int | None = None
) -> list[LogLine]:
    """What a run logged."""
    found = history.log_lines(conn, run_id, after, limit) if is_id(run_id) else []
    return [rows.log_line(row) for row in found]


def missed_ranges(conn: Connection, job_id: str, limit: int) -> list[MissedRange]:
    """A job's missed ranges, newest first."""
    return [
        MissedRange(row.first, row.last, row._mapping["count"], row.reason, row.decided_at)
        for row in history.ranges(conn, job_id, limit)
    ]


def events(conn: Connection, wanted: history.EventFilter) -> list[Event]:
    """The audit trail, oldest first."""
    return [rows.event_record(row) for row in history.events(conn, wanted)]


def list_workers(conn: Connection) -> list[WorkerRecord]:
    """All workers, oldest first."""
    return [rows.worker_record(row) for row in workers.all_of(conn)]


def next_fires(record: JobRecord, count: int) -> list[datetime]:
    """The next nominal times of a job, starting with its cursor."""
    fires: list[datetime] = []
    moment = record.next_fire_at
    if record.options.max_fires is not None:
        count = min(count, record.options.max_fires - record.fired_count)
    while moment is not None and record.trigger is not None and len(fires) < count:
        fires.append(moment)
        moment = next_fire(record.trigger, record.options, moment)
    return fires


def status(
    conn: Connection, now: datetime, *, worker_id: str | None, queues: Sequence[str]
) -> Status:
    """The whole scheduler now.

    Args:
        conn: a connection.
        now: the present on the scheduler's clock.
        worker_id: this process's worker, if its engine runs.
        queues: the queues that this process knows; those seen elsewhere are added.
    """
    held = list_workers(conn)
    names = {*queues, *(name for worker in held for name in worker.queues)}
    stored, switch = control.queues(conn), control.stopped(conn)
    return Status(
        at=now,
        running=worker_id is not None,
        stopped=switch is not None,
        switch=switch,
        worker_id=worker_id,
        jobs=jobs.count_by_state(conn),
        live=runs.count_live_by_state(conn),
        last_day=runs.count_by_state_since(conn, now - timedelta(days=1)),
        dead=runs.count_failed(conn),
        workers=held,
        queues=[_queue(name, stored.get(name)) for name in sorted({*names, *stored})],
    )


def _queue(name: str, row: Any) -> QueueStatus:
    if row is None:
        return QueueStatus(name)
    return QueueStatus(
        name, row.paused_at is not None, row.paused_by, row.paused_reason,
        row.max_running, row.rate, row.rate_period,
    )  # fmt: skip


def _job_records(conn: Connection, found: Sequence[Any]) -> list[JobRecord]:
    ids = [row.id for row in found]
    if not ids:
        return []
    tags, newest = jobs.tags_of(conn, ids), runs.newest_of_jobs(conn, ids)
    return [
        rows.job_record(
            row, tags[row.id], rows.run_record(newest[row.id]) if row.id in newest else None
        )
        for row in found
    ]
