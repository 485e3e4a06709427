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
LIVE: frozenset[str] = frozenset({"scheduled", "ready", "running"})
TERMINAL: frozenset[str] = frozenset(RUN_STATES) - LIVE

MOVES: Mapping[str, frozenset[str]] = {
    "scheduled": frozenset({"ready", "cancelled"}),
    "ready": frozenset({"running", "cancelled", "missed"}),
    "running": frozenset({"scheduled", "ready", "succeeded", "failed", "cancelled", "discarded"}),
    "failed": frozenset({"ready", "discarded"}),
    "missed": frozenset({"ready", "scheduled"}),
    "skipped": frozenset({"ready", "scheduled"}),
    "succeeded": frozenset(),
    "cancelled": frozenset(),
    "discarded": frozenset(),
}
"""The allowed transitions from each state; a test compares them with docs/state_machine.md."""


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
        scheduled_for: the nominal time; ``None`` for calls outside a schedule.
        due_at: when it may start: its nominal time plus jitter, or the time of its next attempt.
        cause: why the run was created, or started over.
        attempt: the number of attempts so far.
        actor: the user who caused it, if any.
        cancel_requested: whether its running function has been asked to stop.
        crashes: how often its worker died while executing it.
        reason: why it was missed, skipped, cancelled or discarded.
        result: the function's return value.
        parent_run_id: the id of the run after which it runs, if there is one.
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
    """One unsuccessful attempt of a run."""

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
        id: increases from line to line; ``None`` before it is stored.
    """

    at: datetime
    level: str
    logger: SafeText
    message: SafeText
    id: int | None = field(default=None, compare=False)
