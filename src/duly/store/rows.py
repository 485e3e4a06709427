"""Typed rows of the tables, and the records that are made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Result, Row

from duly.errors import ConfigurationError, PayloadError, TriggerError
from duly.model import payload
from duly.model.event import Event
from duly.model.job import JobRecord, JobState
from duly.model.job import Origin as JobOrigin
from duly.model.policy import JobOptions, decode_options
from duly.model.run import AttemptRecord, Cause, LogLine, Progress, RunRecord, RunState
from duly.model.worker import WorkerRecord, decode_reports
from duly.store.tables import job
from duly.triggers import Trigger, decode

_NEW_JOB = dict.fromkeys(job.c.keys()) | {"consecutive_failures": 0, "fired_count": 0}
"""The columns that a new job does not set, with their defaults."""


class JobRow(Protocol):
    """The typed columns of a job row; SQLAlchemy's rows have them at run time."""

    id: str
    uid: str
    app: str
    task: str
    args: str
    trigger: str
    options: str | None
    queue: str
    owner: str | None
    state: JobState
    next_fire_at: datetime | None
    last_nominal: datetime | None
    origin: JobOrigin
    declared: str | None
    overridden: str | None
    revision: int
    paused_by: str | None
    paused_reason: str | None
    paused_at: datetime | None
    unresolved_reason: str | None
    consecutive_failures: int
    fired_count: int
    feeds: bool
    watch_at: datetime | None
    alarm: str | None
    watched_since: datetime | None
    declared_version: str | None
    tzdb: str
    created_at: datetime
    updated_at: datetime


class RunRow(Protocol):
    """The typed columns of a run row; SQLAlchemy's rows have them at run time."""

    id: str
    job_id: str | None
    job_uid: str | None
    task: str
    args: str
    policy: str | None
    scheduled_for: datetime | None
    due_at: datetime
    cause: Cause
    actor: str | None
    owner: str | None
    queue: str
    priority: int
    state: RunState
    attempt: int
    max_attempts: int
    crashes: int
    token: int
    claim_id: str | None
    worker_id: str | None
    occupied: bool
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    waits_for_slot: bool
    keep_until: datetime | None
    cancel_requested: bool
    reason: str | None
    result: str | None
    error_type: str | None
    error_message: str | None
    progress_done: int | None
    progress_total: int | None
    progress_note: str | None
    counters: str | None
    concurrency_key: str | None
    unique_key: str | None
    unique_scope: str | None
    retaken_key: str | None
    parent_run_id: str | None
    cause_key: str | None
    feeds: bool
    quarantined: bool
    traceparent: str | None


def job_rows(result: Result[Any]) -> Sequence[JobRow]:
    """Return all rows of a statement that selects from the job table."""
    found: Any = result.all()
    rows: Sequence[JobRow] = found
    return rows


def run_rows(result: Result[Any]) -> Sequence[RunRow]:
    """Return all rows of a statement that selects from the run table."""
    found: Any = result.all()
    rows: Sequence[RunRow] = found
    return rows


def job_record(
    row: JobRow, tags: Sequence[str] = (), last_run: RunRecord | None = None
) -> JobRecord:
    """Make a record of a job; one that cannot be decoded is unresolved, unless it is paused."""
    trigger, options, problem = definition_of(row)
    return JobRecord(
        id=row.id, uid=row.uid, task=row.task, args=_read(row.args) or {}, trigger=trigger,
        options=options, state="unresolved" if problem and row.state != "paused" else row.state,
        next_fire_at=row.next_fire_at, last_nominal=row.last_nominal, origin=row.origin,
        revision=row.revision, created_at=row.created_at, updated_at=row.updated_at,
        tags=tuple(tags), overridden=overridden(row), paused_by=row.paused_by,
        paused_reason=row.paused_reason, paused_at=row.paused_at,
        unresolved_reason=problem or row.unresolved_reason,
        consecutive_failures=row.consecutive_failures, fired_count=row.fired_count,
        last_run=last_run,
    )  # fmt: skip


def new_job_record(values: Mapping[str, Any], tags: Sequence[str]) -> JobRecord:
    """Make a record of a job that was just stored, from the values of its row."""
    row: Any = SimpleNamespace(**{**_NEW_JOB, **values})
    return job_record(row, tags)


class JobDefinition(NamedTuple):
    """The decoded trigger and options of a job row.

    Attributes:
        trigger: ``None``: the row cannot be decoded.
        options: the job's options; defaults if they cannot be decoded.
        problem: why the row cannot be decoded; ``None`` if it can.
    """

    trigger: Trigger | None
    options: JobOptions
    problem: str | None = None


def definition_of(row: JobRow) -> JobDefinition:
    """Decode a job row's trigger and options."""
    problem = options_problem(row)
    if problem is not None:
        owner = getattr(row, "owner", None)  # which jobs.FIRING leaves out
        return JobDefinition(None, JobOptions(queue=row.queue, owner=owner), problem)
    options = decode_options(row.options)
    try:
        return JobDefinition(decode(row.trigger), options)
    except (TriggerError, ConfigurationError, PayloadError) as error:
        return JobDefinition(None, options, _problem(error))


def options_problem(row: JobRow) -> str | None:
    """Return why a job's options cannot be decoded; ``None`` if they can.

    The defaults that take their place in `definition_of` must neither be stored nor decide what
    happens to the job.
    """
    try:
        decode_options(row.options)
    except (ConfigurationError, PayloadError) as error:
        return _problem(error)
    return None


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def overridden(row: JobRow) -> tuple[str, ...]:
    """Return the names of a job's fields that a hand edit overrides."""
    return tuple(payload.decode(row.overridden)) if row.overridden else ()


def run_record(row: RunRow) -> RunRecord:
    """Make a record of a run."""
    progress = None
    if row.progress_done is not None:
        progress = Progress(row.progress_done, row.progress_total, row.progress_note)
    return RunRecord(
        id=row.id, job_id=row.job_id, task=row.task, args=_read(row.args) or {},
        scheduled_for=row.scheduled_for, due_at=row.due_at, cause=row.cause, queue=row.queue,
        priority=row.priority, state=row.state, attempt=row.attempt,
        max_attempts=row.max_attempts, actor=row.actor, worker_id=row.worker_id,
        started_at=row.started_at, finished_at=row.finished_at,
        cancel_requested=row.cancel_requested, crashes=row.crashes, reason=row.reason,
        result=_read(row.result),
        error_type=row.error_type, error_message=row.error_message, progress=progress,
        counters=_read(row.counters) or {},
        parent_run_id=row.parent_run_id, owner=row.owner, traceparent=row.traceparent,
    )  # fmt: skip


def attempt_record(row: Row[Any]) -> AttemptRecord:
    """Make a record of an unsuccessful attempt."""
    return AttemptRecord(**row._mapping)


def log_line(row: Row[Any]) -> LogLine:
    """Make a record of a captured log line."""
    return LogLine(row.at, row.level, row.logger, row.message, row.id)


def worker_record(row: Row[Any]) -> WorkerRecord:
    """Make a record of a worker."""
    values = {name: row._mapping[name] for name in WorkerRecord.layout.names}
    decoded = {
        "queues": payload.decode(row.queues),
        "process_jobs": decode_reports(row.process_jobs),
    }
    return WorkerRecord(**{**values, **decoded})


def event_record(row: Row[Any]) -> Event:
    """Make a record of an event."""
    detail = _read(row.detail) or {}
    values = {name: row._mapping[name] for name in Event.layout.names}
    return Event(**{**values, "detail": detail})


def _read(text: str | None) -> Any:
    """Decode a stored value; ``None`` if it is damaged, so that one row cannot hide the others."""
    try:
        return None if text is None else payload.decode(text)
    except PayloadError:
        return None
