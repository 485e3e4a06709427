"""The schemas of responses. The dashboard uses them too, so both hide the same secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, computed_field

from duly.web.api.fields import (
    CatchUpPolicy,
    Retry,
    SafeArguments,
    SafeText,
    SafeValue,
    Schema,
    TriggerField,
)

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A page of a list.

    Attributes:
        items: the items on this page.
        next: the value of ``after`` for the next page; ``None`` on the last page.
    """

    items: list[Item]
    next: str | None = None


class Progress(Schema):
    """The progress that a running function has reported."""

    done: int
    total: int | None
    note: SafeText | None


class Run(Schema):
    """A run. Times are in UTC, durations in seconds."""

    id: str
    job_id: str | None
    task: str
    args: SafeArguments
    state: str
    cause: str
    actor: str | None
    scheduled_for: AwareDatetime | None
    due_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    queue: str
    priority: int
    attempt: int
    max_attempts: int
    crashes: int
    worker_id: str | None
    cancel_requested: bool
    reason: SafeText | None
    result: SafeValue
    error_type: str | None
    error_message: SafeText | None
    progress: Progress | None
    counters: dict[str, int]
    parent_run_id: str | None
    is_terminal: bool

    @computed_field  # type: ignore[prop-decorator]
    @property
    def duration(self) -> float | None:
        """The time from the last start to the end, in seconds."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at) / timedelta(seconds=1)


class Options(Schema):
    """The options of a job; see ``JobOptions``. Durations are in seconds."""

    queue: str
    priority: int
    retry: Retry | None
    timeout: float | None
    on_crash: str
    expires: float | None
    keep: float | None
    misfire_grace: float | None
    catch_up: CatchUpPolicy
    overlap: str
    max_running: int
    jitter: float
    start: AwareDatetime | None
    end: AwareDatetime | None
    max_fires: int | None


class Job(Schema):
    """A job and its newest run."""

    id: str
    uid: str
    task: str
    args: SafeArguments
    trigger: TriggerField
    options: Options
    queue: str
    tags: tuple[str, ...]
    state: str
    next_fire_at: AwareDatetime | None
    last_nominal: AwareDatetime | None
    origin: str
    revision: int
    overridden: tuple[str, ...]
    paused_by: str | None
    paused_reason: SafeText | None
    paused_at: AwareDatetime | None
    unresolved_reason: SafeText | None
    consecutive_failures: int
    fired_count: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_run: Run | None


class Attempt(Schema):
    """An unsuccessful attempt of a run."""

    attempt: int
    worker_id: str | None
    started_at: AwareDatetime | None
    finished_at: AwareDatetime
    error_type: str
    error_message: SafeText
    traceback: SafeText | None


class LogLine(Schema):
    """A captured log line of a run."""

    id: int | None
    at: AwareDatetime
    level: str
    logger: SafeText
    message: SafeText


class MissedRange(Schema):
    """Consecutive nominal times of a job that did not run."""

    first: AwareDatetime
    last: AwareDatetime
    count: int
    reason: SafeText
    decided_at: AwareDatetime


class Worker(Schema):
    """A worker; ``version`` is the version of Duly, ``app_version`` that of the application."""

    id: str
    app: str
    host: str
    pid: int
    version: str
    tzdb: str
    queues: dict[str, int]
    started_at: AwareDatetime
    beat_at: AwareDatetime
    lease_until: AwareDatetime
    draining: bool
    app_version: str | None


class Queue(Schema):
    """A queue, and by whom and why it is paused, if it is."""

    name: str
    paused: bool
    paused_by: str | None
    paused_reason: SafeText | None


class Switch(Schema):
    """By whom, when and why the scheduler was switched off."""

    by: str | None
    at: AwareDatetime
    reason: SafeText


class Status(Schema):
    """The status of the scheduler at one instant: counts by state, workers and queues."""

    at: AwareDatetime
    running: bool
    stopped: bool
    switch: Switch | None
    worker_id: str | None
    jobs: dict[str, int]
    live: dict[str, int]
    last_day: dict[str, int]
    dead: int
    workers: list[Worker]
    queues: list[Queue]


class Health(Schema):
    """The health of the scheduler in the process that responds."""

    ok: bool
    database: str
    engine: str
    detail: SafeText | None
    last_tick_age: float | None


class Event(Schema):
    """An entry of the audit trail."""

    id: int | None
    at: AwareDatetime
    kind: str
    job_id: str | None
    run_id: str | None
    worker_id: str | None
    actor: str | None
    detail: SafeArguments


class Task(BaseModel):
    """A registered task, with the JSON Schema of its arguments."""

    name: str
    doc: str
    is_async: bool
    arguments: dict[str, Any]


class NextFires(BaseModel):
    """The next nominal times of a job."""

    job_id: str
    fires: list[AwareDatetime]


class Step(Schema):
    """The number of runs by outcome, and whether nothing is left to do."""

    complete: bool
    runs: dict[str, int]
