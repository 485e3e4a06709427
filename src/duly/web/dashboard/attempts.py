"""The attempts of a run as its page lists them: those that failed, and the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from duly.model.run import AttemptRecord, RunRecord, RunState
from duly.web.dashboard.formatting import span
from duly.web.dashboard.tracebacks import TracebackPart, divide

_OF_LAST: tuple[RunState, ...] = ("running", "succeeded", "cancelled", "discarded")


@dataclass(frozen=True, slots=True)
class ListedAttempt:
    """An attempt of a run.

    Attributes:
        state: how it ended, or ``running``.
        error: the type and the message of its error; empty: it has none.
        traceback: the traceback, divided.
    """

    number: int
    state: RunState
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str = ""
    traceback: Sequence[TracebackPart] = ()

    @property
    def took(self) -> timedelta | None:
        """The time from its start to its end, if it has both."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


def lateness(run: RunRecord, attempts: Sequence[ListedAttempt]) -> str:
    """Return how late a run started, in words.

    Each attempt is due at a time of its own, so that of a run with several attempts it is told how
    late the first one was, as far as that is known.

    Args:
        run: the run; the text is empty if it has not started.
        attempts: its attempts.
    """
    if run.started_at is None:
        return ""
    if run.attempt <= 1:
        return f"{span(run.started_at - run.due_at)} after it was due"
    first = next((each.started_at for each in attempts if each.number == 1), None)
    number = f"attempt {run.attempt}"
    if first is None or run.scheduled_for is None or run.cause == "retry_by_hand":
        return number
    return f"{number}; the first started {span(first - run.scheduled_for)} after it was due"


def list_attempts(run: RunRecord, failed: Sequence[AttemptRecord]) -> list[ListedAttempt]:
    """Return all attempts of a run, the last one first.

    Args:
        run: the run, redacted.
        failed: its unsuccessful attempts, redacted, oldest first.
    """
    listed = [
        ListedAttempt(
            each.attempt, "failed", each.worker_id, each.started_at, each.finished_at,
            f"{each.error_type}: {each.error_message}", divide(each.traceback or ""),
        )
        for each in failed
    ]  # fmt: skip
    is_listed = any(each.attempt == run.attempt for each in failed)
    if run.attempt and run.state in _OF_LAST and run.started_at and not is_listed:
        last = ListedAttempt(run.attempt, run.state, run.worker_id, run.started_at, run.finished_at)
        listed.append(last)
    return listed[::-1]
