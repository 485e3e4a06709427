"""The history of alerts: Duly's runs, with the words of the specification."""

from __future__ import annotations

from typing import Any, Literal, get_args

from duly import RunRecord
from duly.model.run import RunState

RunOutcome = Literal["ok", "error", "missed", "skipped", "interrupted", "running", "waiting"]
OUTCOMES: tuple[RunOutcome, ...] = get_args(RunOutcome)

STATES: dict[str, tuple[RunState, ...]] = {
    "ok": ("succeeded",),
    "error": ("failed",),
    "missed": ("missed",),
    "skipped": ("skipped", "discarded"),
    "interrupted": ("cancelled",),
    "running": ("running",),
    "waiting": ("scheduled", "ready"),
}
"""The states of Duly's runs that each outcome covers. A run is discarded if the alert was deleted,
switched off or moved since it was due, or if a dead letter was closed."""

_OUTCOME_OF = {state: outcome for outcome, states in STATES.items() for state in states}


def show_run(run: RunRecord) -> dict[str, Any]:
    """Return a run as the API shows it."""
    return {
        "id": run.id,
        "job_id": run.job_id,
        "task": run.task,
        "alert_id": run.args.get("alert_id"),
        "outcome": _OUTCOME_OF[run.state],
        "cause": run.cause,
        "actor": run.actor,
        "scheduled_for": run.scheduled_for,
        "due_at": run.due_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "duration_ms": None if run.duration is None else run.duration.total_seconds() * 1000,
        "attempt": run.attempt,
        "max_attempts": run.max_attempts,
        "process": run.worker_id,
        "error": run.error_message and f"{run.error_type}: {run.error_message}",
        "reason": run.reason,
        "result": run.result,
    }


def show_dead_letter(run: RunRecord) -> dict[str, Any]:
    """Return a failed run as a dead letter."""
    status = "open" if run.state == "failed" else "discarded"
    return {
        "id": run.id,
        "job_id": run.job_id,
        "task": run.task,
        "alert_id": run.args.get("alert_id"),
        "scheduled_for": run.scheduled_for,
        "attempts": run.attempt,
        "last_error": f"{run.error_type}: {run.error_message}",
        "payload": run.args,
        "status": status,
        "finished_at": run.finished_at,
        "reason": run.reason,
    }
