"""The rows that an attempt writes: the change of its run, and the lines that it logged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from duly.model import payload
from duly.model.run import Progress
from duly.model.text import encodable, storable_text
from duly.model.transition import Transition
from duly.store.transitions import Change
from duly.worker.attempt import Attempt

LONGEST_NAME = 191
LONGEST_NOTE = 200


def log_rows(attempt: Attempt, encoding: str | None) -> list[dict[str, Any]]:
    """Return the rows of the log lines that no commit has stored yet.

    Args:
        attempt: the attempt.
        encoding: the database's; see `encodable`.
    """
    run = attempt.run
    if not (run.has_new_lines or attempt.unsent):
        return []
    attempt.unsent += run.captured.take()
    fit = partial(encodable, encoding=encoding)
    return [
        {
            "run_id": attempt.claim.id, "at": line.at, "level": storable_text(fit(line.level), 16),
            "logger": storable_text(fit(line.logger), LONGEST_NAME), "message": fit(line.message),
        }
        for line in attempt.unsent
    ]  # fmt: skip


def change_of(attempt: Attempt, transition: Transition, encoding: str | None) -> Change:
    """Return the change of an attempt's run, with the progress that its function reported.

    Args:
        attempt: the attempt.
        transition: what becomes of its run.
        encoding: the database's; see `encodable`.
    """
    claim, run = attempt.claim, attempt.run
    progress, dropped = run.reported, run.captured.dropped
    columns = {
        "counters": payload.encode(dict(run.counters)) if run.counters else None,
        "progress_done": progress.done if progress else None,
        "progress_total": progress.total if progress else None,
        "progress_note": note_of(progress, encoding),
    }
    if dropped and transition.reason is None:
        columns["reason"] = f"{dropped} log lines were dropped"
    detail = {"task": claim.task, "attempt": claim.attempt}
    return Change(claim.snapshot, _fitting(transition, encoding), columns, detail)


def note_of(progress: Progress | None, encoding: str | None) -> str | None:
    """Return the note of a progress report as it is stored."""
    if progress is None or progress.note is None:
        return None
    return storable_text(encodable(progress.note, encoding), LONGEST_NOTE)


def _fitting(transition: Transition, encoding: str | None) -> Transition:
    if encoding is None:
        return transition
    error, reason = transition.error, transition.reason
    if error is not None:
        trace = None if error[2] is None else encodable(error[2], encoding)
        kind = storable_text(encodable(error[0], encoding), LONGEST_NAME)
        error = (kind, encodable(error[1], encoding), trace)
    if reason is not None:
        reason = encodable(reason, encoding)
    return replace(transition, error=error, reason=reason)
