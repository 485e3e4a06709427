"""Stored rows as records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row

from duly.errors import ConfigurationError, PayloadError, TriggerError
from duly.model import payload
from duly.model.event import Event
from duly.model.job import JobRecord
from duly.model.policy import JobOptions, decode_options
from duly.model.run import AttemptRecord, LogLine, Progress, RunRecord
from duly.model.worker import WorkerRecord
from duly.store.tables import job
from duly.triggers import Trigger, decode

_NEW_JOB = dict.fromkeys(job.c.keys()) | {"consecutive_failures": 0, "fired_count": 0}
"""What nobody says of a job that is stored."""


def job_record(row: Any, tags: Sequence[str] = (), last_run: RunRecord | None = None) -> JobRecord:
    """A job; what cannot be decoded is shown as unresolved, never hidden."""
    trigger, options, problem = definition(row)
    return JobRecord(
        id=row.id, uid=row.uid, task=row.task, args=_read(row.args) or {}, trigger=trigger,
        options=options, state="unresolved" if problem else row.state,
        next_fire_at=row.next_fire_at, last_nominal=row.last_nominal, origin=row.origin,
        revision=row.revision, created_at=row.created_at, updated_at=row.updated_at,
        tags=tuple(tags), overridden=overridden(row), paused_by=row.paused_by,
        paused_reason=row.paused_reason, paused_at=row.paused_at,
        unresolved_reason=problem or row.unresolved_reason,
        consecutive_failures=row.consecutive_failures, fired_count=row.fired_count,
        last_run=last_run,
    )  # fmt: skip


def new_job_record(values: Mapping[str, Any], tags: Sequence[str]) -> JobRecord:
    """A job as it was just stored, from the values that it was stored with."""
    return job_record(SimpleNamespace(**{**_NEW_JOB, **values}), tags)


def definition(row: Any) -> tuple[Trigger | None, JobOptions, str | None]:
    """A job row's trigger and options, and why they cannot be decoded if they cannot."""
    try:
        return decode(row.trigger), decode_options(row.options), None
    except (TriggerError, ConfigurationError, PayloadError) as error:
        return None, JobOptions(queue=row.queue), f"{type(error).__name__}: {error}"


def overridden(row: Any) -> tuple[str, ...]:
    """The names of a job row's fields that a hand edit holds."""
    return tuple(payload.decode(row.overridden)) if row.overridden else ()


def run_record(row: Row[Any]) -> RunRecord:
    """A run."""
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
        parent_run_id=row.parent_run_id,
    )  # fmt: skip


def attempt_record(row: Row[Any]) -> AttemptRecord:
    """An unsuccessful attempt."""
    return AttemptRecord(**row._mapping)


def log_line(row: Row[Any]) -> LogLine:
    """A captured log line."""
    return LogLine(row.at, row.level, row.logger, row.message, row.id)


def worker_record(row: Row[Any]) -> WorkerRecord:
    """A worker."""
    values = {field.name: row._mapping[field.name] for field in fields(WorkerRecord)}
    return WorkerRecord(**{**values, "queues": payload.decode(row.queues)})


def event_record(row: Row[Any]) -> Event:
    """A stored event."""
    detail = _read(row.detail) or {}
    return Event(**{**row._mapping, "detail": detail})


def _read(text: str | None) -> Any:
    """A stored value; nothing where it was damaged, since one row must not hide the others."""
    try:
        return None if text is None else payload.decode(text)
    except PayloadError:
        return None
