"""How an attempt ended, as rows: of the run, of the attempt, and of what it has logged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from duly.model import payload
from duly.model.text import storable_text
from duly.worker.in_flight import Attempt
from duly.worker.outcome import Outcome


def log_rows(attempt: Attempt) -> list[dict[str, Any]]:
    """The log lines of a run that no commit has taken yet, as rows."""
    run = attempt.work.run
    if not (run.logged or attempt.unsent):
        return []
    attempt.unsent += run.captured.take()
    return [
        {
            "run_id": attempt.claim.id, "at": line.at, "level": storable_text(line.level, 16),
            "logger": storable_text(line.logger, 191), "message": line.message,
        }
        for line in attempt.unsent
    ]  # fmt: skip


def run_row(
    attempt: Attempt, outcome: Outcome, worker_id: str, now: datetime, occupied: bool
) -> dict[str, Any]:
    """What the run's row becomes: see `completions.write`."""
    claim, run = attempt.claim, attempt.work.run
    over = outcome.state not in ("ready", "scheduled")
    progress = run.reported
    kind, message = outcome.error[:2] if outcome.error else (None, None)
    return {
        **claim.fence,
        "to_state": outcome.state,
        "to_token": claim.token + 1 if occupied else claim.token,
        "to_attempt": claim.attempt - outcome.uncounted,
        "to_due_at": outcome.due_at or claim.due_at,
        "to_finished_at": now if over else None,
        "to_keep_until": claim.policy.keep_until(outcome.state, now) if over else None,
        "to_worker_id": worker_id if over or occupied else None,
        "to_occupied": occupied,
        "to_cancel_requested": False,
        "to_unique_key": None if over else claim.unique_key,
        "to_reason": _reason(attempt, outcome),
        "to_result": outcome.result,
        "to_error_type": kind,
        "to_error_message": message,
        "to_counters": payload.encode(dict(run.counters)) if run.counters else None,
        "to_progress_done": progress.done if progress else None,
        "to_progress_total": progress.total if progress else None,
        "to_progress_note": progress.note if progress else None,
    }


def _reason(attempt: Attempt, outcome: Outcome) -> str | None:
    dropped = attempt.work.run.captured.dropped
    if outcome.reason is None and dropped:
        return f"{dropped} log lines were dropped"
    return outcome.reason


def attempt_row(
    attempt: Attempt, outcome: Outcome, worker_id: str, now: datetime
) -> dict[str, Any]:
    """An unsuccessful attempt."""
    kind, message, trace = outcome.error or ("", "", None)
    return {
        "run_id": attempt.claim.id, "attempt": attempt.claim.attempt, "worker_id": worker_id,
        "started_at": attempt.claim.started_at, "finished_at": now, "error_type": kind,
        "error_message": message, "traceback": trace,
    }  # fmt: skip
