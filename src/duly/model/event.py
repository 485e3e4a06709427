"""An event: something that happened, who did it, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duly.errors import UnknownOption

KINDS = frozenset(
    {
        *(
            f"run.{what}"
            for what in (
                "started", "succeeded", "failed", "retried", "snoozed", "missed", "skipped",
                "cancelled", "discarded", "late", "overrun", "revived", "given_back",
                "cancel_requested",
            )
        ),
        *(
            f"job.{what}"
            for what in (
                "added", "changed", "removed", "paused", "resumed", "finished", "failing",
                "recovered", "unresolved", "orphaned", "kept", "backfilled",
            )
        ),
        "worker.started", "worker.stopped", "worker.lost", "worker.fenced", "run.late_completion",
        "worker.late", "worker.clock_set",
        "calendar.changed", "calendar.removed", "queue.paused", "queue.resumed",
        "queue.changed", "limit.changed", "limit.removed",
        "scheduler.stopped", "scheduler.started",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """What a listener receives and the audit trail stores.

    Attributes:
        kind: one of `KINDS`.
        at: when, aware UTC.
        actor: who asked for it; ``None`` for the engine itself.
        detail: facts of this kind of event, plain values.
        id: place in the stored trail; ``None`` for kinds that are not stored.
    """

    kind: str
    at: datetime
    job_id: str | None = None
    run_id: str | None = None
    worker_id: str | None = None
    actor: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    id: int | None = None


def check_kind(kind: str) -> str:
    """The same kind when it exists.

    Raises:
        UnknownOption: no event is of that kind.
    """
    if kind not in KINDS:
        raise UnknownOption(kind, KINDS, "as an event kind")
    return kind
