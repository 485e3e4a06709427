"""The rows that an attempt writes: the change of its run, and the lines that it logged."""

from __future__ import annotations

from typing import Any

from duly.model import payload
from duly.model.text import storable_text
from duly.model.transition import Transition
from duly.store.transitions import Change
from duly.worker.attempt import Attempt


def log_rows(attempt: Attempt) -> list[dict[str, Any]]:
    """Return the rows of the log lines that no commit has stored yet."""
    run = attempt.run
    if not (run.has_new_lines or attempt.unsent):
        return []
    attempt.unsent += run.captured.take()
    return [
        {
            "run_id": attempt.claim.id, "at": line.at, "level": storable_text(line.level, 16),
            "logger": storable_text(line.logger, 191), "message": line.message,
        }
        for line in attempt.unsent
    ]  # fmt: skip


def change_of(attempt: Attempt, transition: Transition) -> Change:
    """Return the change of an attempt's run, with the progress that its function reported."""
    claim, run = attempt.claim, attempt.run
    progress, dropped = run.reported, run.captured.dropped
    columns = {
        "counters": payload.encode(dict(run.counters)) if run.counters else None,
        "progress_done": progress.done if progress else None,
        "progress_total": progress.total if progress else None,
        "progress_note": progress.note if progress else None,
    }
    if dropped and transition.reason is None:
        columns["reason"] = f"{dropped} log lines were dropped"
    detail = {"task": claim.task, "attempt": claim.attempt}
    return Change(claim.snapshot, transition, columns, detail)
