"""A run: one occurrence of a job, or one enqueued call of a task; its states and transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Annotated, Literal, get_args

from duly.errors import StateError
from duly.model.record import Record, SafeArguments, SafeText, SafeValue, Shown, record

COUNTED = 10_000
"""The number at which the counts of a status stop: a larger number is reported as this one."""

RunState = Literal[
    "scheduled", "ready", "running", "succeeded", "failed", "cancelled", "discarded", "missed",
    "skipped",
]  # fmt: skip
Cause = Literal[
    "schedule", "catch_up", "start", "manual", "retry_by_hand", "dependency", "backfill", "enqueue"
]

RUN_STATES: tuple[RunState, ...] = get_args(RunState)
CAUSES: tuple[Cause, ...] = get_args(Cause)
LIVE: frozenset[str] = frozenset({"scheduled", "ready", "running"})
TERMINAL: frozenset[str] = frozenset(RUN_STATES) - LIVE

MOVES: Mapping[str, frozenset[str]] = {
    "scheduled": frozenset({"ready", "cancelled"}),
    "ready": frozenset({"running", "scheduled", "cancelled", "missed"}),
    "running": frozenset({"scheduled", "ready", "succeeded", "failed", "cancelled", "discarded"}),
    "failed": frozenset({"ready", "discarded"}),
    "missed": frozenset({"ready", "scheduled"}),
    "skipped": frozenset({"ready", "scheduled"}),
    "succeeded": frozenset(),
    "cancelled": frozenset(),
    "discarded": frozenset(),
}
"""The allowed transitions from each state; a test compares them with docs/state_machine.md."""


CANCELLABLE = tuple(sorted(state for state in MOVES if "cancelled" in MOVES[state]))
RETRYABLE = tuple(sorted(state for state in TERMINAL if "ready" in MOVES[state]))
DISCARDABLE = ("failed",)
"""The states of runs that users cancel, retry and discard."""


def check_move(run_id: str, state: str, to: str) -> None:
    """Raise unless the state machine has a transition from ``state`` to ``to``.

    Raises:
        StateError: the transition is not in `MOVES`.
    """
    if to not in MOVES[state]:
        raise StateError(f"run {run_id} is {state}; it cannot become {to}")


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration / timedelta(seconds=1)


@record
class Progress(Record):
    """The progress that a running function has reported.

    Attributes:
        done: the number of finished units.
        total: the number of all units, if known.
        note: a short remark.
    """

    done: int = 0
    total: int | None = None
    note: SafeText | None = None


@record
class RunRecord(Record):
    """A stored run as queries return it. All instants are aware datetimes in UTC.

    Attributes:
        id: identifies the run; ids of later runs are greater.
        job_id: the id of its job; ``None`` for an enqueued call.
        task: the name of the task that is executed.
        args: the arguments of the task.
        scheduled_for: the nominal time; ``None`` for calls outside a schedule.
        due_at: when it may start: its nominal time plus jitter, or the time of its next attempt.
        cause: why the run was created, or started over.
        queue: the queue in which it waits.
        priority: of the runs that are ready, those with the smallest number start first.
        state: one of the nine states of a run.
        attempt: the number of attempts so far.
        max_attempts: the number of attempts after which it fails for good.
        actor: the user who caused it, if any.
        worker_id: the worker that is executing it, or executed it last.
        started_at: when its last attempt started.
        finished_at: when it ended; ``None`` while it is unfinished.
        cancel_requested: whether its running function has been asked to stop.
        crashes: how often its worker died while executing it.
        reason: why it was missed, skipped, cancelled or discarded.
        result: the function's return value.
        error_type: the name of the class of its last attempt's error, if that failed.
        error_message: the message of that error.
        progress: the progress that its function has reported.
        counters: the counters that its function has set, by name.
        parent_run_id: the id of the run after which it runs, if there is one.
        owner: whom it belongs to: the owner that its job had when it was created, or that the call
            named; ``None``: no one.
        traceparent: the W3C trace context of the span in which it was requested, if there was one.
    """

    id: str
    job_id: str | None
    task: str
    args: SafeArguments
    scheduled_for: datetime | None
    due_at: datetime
    cause: Cause
    queue: str
    priority: int
    state: RunState
    attempt: int
    max_attempts: int
    actor: str | None = None
    worker_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested: bool = False
    crashes: int = 0
    reason: SafeText | None = None
    result: SafeValue = None
    error_type: str | None = None
    error_message: SafeText | None = None
    progress: Progress | None = None
    counters: dict[str, int] = field(default_factory=dict)
    parent_run_id: str | None = None
    owner: str | None = None
    traceparent: str | None = None

    @property
    def duration(self) -> Annotated[timedelta | None, Shown(_seconds, float | None)]:
        """The time from the last start to the end; ``None`` unless it has started and ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def is_terminal(self) -> bool:
        """Whether it has finished, so that only a user can change it."""
        return self.state in TERMINAL


@record
class AttemptRecord(Record):
    """One unsuccessful attempt of a run.

    Attributes:
        run_id: the run.
        attempt: the number of the attempt, from 1.
        worker_id: the worker that executed it.
        started_at: when it started.
        finished_at: when it ended.
        error_type: the name of the error's class; ``WorkerLost`` if its worker died.
        error_message: the error's message.
        traceback: the error's traceback, if there is one.
    """

    run_id: str
    attempt: int
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime
    error_type: str
    error_message: SafeText
    traceback: SafeText | None


@record
class LogLine(Record):
    """One captured log line of a run.

    Attributes:
        at: when it was logged.
        level: the name of its level, such as ``INFO``.
        logger: the name of the logger.
        message: the formatted message.
        id: increases from line to line; ``None`` before it is stored.
    """

    at: datetime
    level: str
    logger: SafeText
    message: SafeText
    id: int | None = field(default=None, compare=False)
