"""What the API answers with. The dashboard shows the same values, so both hide the same secrets."""

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
    """Some of many.

    Attributes:
        items: these.
        next: what to give as ``after`` for those that follow; ``None``: there are none.
    """

    items: list[Item]
    next: str | None = None


class Progress(Schema):
    """How far a running function says it is."""

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
        """From the last start to the end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at) / timedelta(seconds=1)


class Options(Schema):
    """How a job fires and how its runs are executed; see ``JobOptions``."""

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
    """A job with its newest run."""

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
    """One unsuccessful attempt of a run."""

    attempt: int
    worker_id: str | None
    started_at: AwareDatetime | None
    finished_at: AwareDatetime
    error_type: str
    error_message: SafeText
    traceback: SafeText | None


class LogLine(Schema):
    """One captured log line of a run."""

    id: int | None
    at: AwareDatetime
    level: str
    logger: SafeText
    message: SafeText


class MissedRange(Schema):
    """Nominal times of a job that did not run, recorded together."""

    first: AwareDatetime
    last: AwareDatetime
    count: int
    reason: SafeText
    decided_at: AwareDatetime


class Worker(Schema):
    """One process taking part; ``version`` is that of Duly, ``app_version`` the application's."""

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
    """A lane of runs; why and by whom it is paused, if it is."""

    name: str
    paused: bool
    paused_by: str | None
    paused_reason: SafeText | None


class Switch(Schema):
    """By whom, when and why the scheduler is switched off."""

    by: str | None
    at: AwareDatetime
    reason: SafeText


class Status(Schema):
    """The whole scheduler at one instant: its switch, counts by state, workers, queues."""

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
    """Whether the scheduler of the process that answers works."""

    ok: bool
    database: str
    engine: str
    detail: SafeText | None
    last_tick_age: float | None


class Event(Schema):
    """One entry of the audit trail."""

    id: int | None
    at: AwareDatetime
    kind: str
    job_id: str | None
    run_id: str | None
    worker_id: str | None
    actor: str | None
    detail: SafeArguments


class Task(BaseModel):
    """A registered function, with the JSON Schema of its arguments."""

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
