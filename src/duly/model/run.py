"""A run: one occurrence of a job, or one enqueued call of a task; its states and their moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from duly.errors import StateError

RunState = Literal[
    "scheduled", "ready", "running", "succeeded", "failed", "cancelled", "discarded", "missed",
    "skipped",
]  # fmt: skip
Cause = Literal[
    "schedule", "catch_up", "manual", "retry_by_hand", "dependency", "backfill", "enqueue"
]

RUN_STATES: tuple[RunState, ...] = get_args(RunState)
LIVE: frozenset[str] = frozenset({"scheduled", "ready", "running"})
TERMINAL: frozenset[str] = frozenset(RUN_STATES) - LIVE

MOVES: Mapping[str, frozenset[str]] = {
    "scheduled": frozenset({"ready", "cancelled", "missed"}),
    "ready": frozenset({"running", "cancelled", "missed"}),
    "running": frozenset({"scheduled", "ready", "succeeded", "failed", "cancelled", "discarded"}),
    "failed": frozenset({"ready", "discarded"}),
    "missed": frozenset({"ready", "scheduled"}),
    "skipped": frozenset({"ready", "scheduled"}),
    "succeeded": frozenset(),
    "cancelled": frozenset(),
    "discarded": frozenset(),
}
"""Every allowed move; docs/state_machine.md draws it, and a test compares the two."""


def check_move(run_id: str, state: str, to: str) -> None:
    """Refuse a move that the state machine does not have.

    Raises:
        StateError: the move is not in `MOVES`.
    """
    if to not in MOVES[state]:
        raise StateError(f"run {run_id} is {state}; it cannot become {to}")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running function says it is.

    Attributes:
        done: units finished.
        total: units in all, when known.
        note: a few words.
    """

    done: int = 0
    total: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A stored run as queries return it. Instants are aware UTC; see `architecture` for the words.

    Attributes:
        scheduled_for: the nominal time; ``None`` for calls outside a schedule.
        due_at: when it may start (the nominal time and its jitter, or a retry's time).
        attempt: tries so far.
        crashes: how often its worker died under it.
        reason: why it was missed, skipped, cancelled or discarded.
        result: what the function returned.
    """

    id: str
    job_id: str | None
    task: str
    args: dict[str, Any]
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
    reason: str | None = None
    result: Any = None
    error_type: str | None = None
    error_message: str | None = None
    progress: Progress | None = None
    counters: dict[str, int] = field(default_factory=dict)
    parent_run_id: str | None = None

    @property
    def duration(self) -> timedelta | None:
        """From the last start to the end; ``None`` while either is missing."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def is_terminal(self) -> bool:
        """Whether nothing but a person's hand will change it."""
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One unsuccessful attempt of a run."""

    run_id: str
    attempt: int
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime
    error_type: str
    error_message: str
    traceback: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One captured log line of a run.

    Attributes:
        id: rises from line to line; ``None`` before it is stored.
    """

    at: datetime
    level: str
    logger: str
    message: str
    id: int | None = field(default=None, compare=False)
