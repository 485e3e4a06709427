"""The outcomes of runs in the words of the applications' specifications."""

from __future__ import annotations

from typing import Literal, get_args

from duly import RunRecord
from duly.model.run import RunState

Outcome = Literal["ok", "partial", "error", "missed", "skipped", "interrupted"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

STATES: dict[str, tuple[RunState, ...]] = {
    "ok": ("succeeded",),
    "partial": ("succeeded",),
    "error": ("failed",),
    "missed": ("missed",),
    "skipped": ("skipped",),
    "interrupted": ("cancelled", "discarded", "ready"),
}
"""The states among which the runs with an outcome are; `outcome_of` tells them apart."""

_SAME = {
    "failed": "error", "cancelled": "interrupted", "discarded": "interrupted",
    "scheduled": "waiting",
}  # fmt: skip


def outcome_of(run: RunRecord) -> str:
    """Return one of `OUTCOMES`, or ``running`` or ``waiting`` for an unfinished run.

    A run that succeeded although items failed is ``partial``. A run that was given back at
    shutdown, or whose process died, is ``interrupted`` until it starts again.
    """
    if run.state == "succeeded":
        return "partial" if run.counters.get("failed") else "ok"
    if run.state == "ready":
        return "interrupted" if run.crashes or run.started_at else "waiting"
    return _SAME.get(run.state, run.state)
