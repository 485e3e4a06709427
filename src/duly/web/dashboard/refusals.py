"""Errors as the dashboard words them: what was not done, why, and where to look."""

from __future__ import annotations

from dataclasses import dataclass

from duly.errors import OverlapError
from duly.web.csrf import SAFE_METHODS
from duly.web.problems import Problem

_OVERLAPS = {
    "skip": "a new run is skipped until it has finished",
    "queue": "another run waits for it already",
}
"""What the overlap policy of a job makes of one more run."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request failed.

    Attributes:
        title: what happened.
        detail: why, in whole sentences; may be empty.
        job_id: the job whose unfinished runs are the reason, if they are.
    """

    title: str
    detail: str
    job_id: str | None = None

    @classmethod
    def of(cls, method: str, problem: Problem, error: Exception) -> Refusal:
        """Return the refusal that an error means for a request with a method."""
        is_refused_action = method not in SAFE_METHODS and problem.status in (409, 422)
        title = "Nothing was changed" if is_refused_action else problem.title
        if isinstance(error, OverlapError) and error.job_id is not None:
            why = _OVERLAPS.get(error.overlap or "", "it may not have another one now")
            text = f"The job {error.job_id} has a run that has not finished, and {why}."
            return cls(title, f"{text} Wait for it, or cancel it first.", error.job_id)
        return cls(title, whole_sentence(problem.detail))


def whole_sentence(text: str) -> str:
    """Return a text that begins with a capital letter and ends with a full stop."""
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
