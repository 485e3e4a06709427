"""An event: something that happened, who did it, and when."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime

from duly.errors import UnknownOption
from duly.model.record import Record, SafeArguments, SafeText, record

KINDS = frozenset(
    {
        *(
            f"run.{name}"
            for name in (
                "started", "succeeded", "failed", "retried", "snoozed", "missed", "skipped",
                "cancelled", "discarded", "late", "overrun", "revived", "given_back",
                "handed_off",
                "cancel_requested", "requested", "rescheduled",
            )
        ),
        *(
            f"job.{name}"
            for name in (
                "added", "changed", "removed", "paused", "resumed", "finished", "failing",
                "recovered", "unresolved", "orphaned", "kept", "backfilled",
            )
        ),
        "jobs.paused", "jobs.resumed", "jobs.removed",
        "runs.cancelled", "runs.retried", "runs.discarded",
        "worker.started", "worker.stopped", "worker.lost", "worker.fenced", "run.late_completion",
        "worker.late", "worker.clock_set", "worker.draining",
        "key.created", "key.revoked",
        "calendar.changed", "calendar.removed", "queue.paused", "queue.resumed",
        "queue.changed", "limit.changed", "limit.removed",
        "scheduler.stopped", "scheduler.started",
        "notice.sent", "notice.failed", "notice.dead", "notice.refused", "notice.retried",
        "notice.tested", "notice_rule.added", "notice_rule.removed",
    }
)  # fmt: skip


@record
class Event(Record):
    """An event as listeners receive it and the audit trail stores it.

    Attributes:
        kind: one of `KINDS`.
        at: when it happened, as an aware datetime in UTC.
        job_id: the job that it concerns, if any.
        run_id: the run that it concerns, if any.
        worker_id: the worker that it concerns, if any.
        actor: the user who caused it; ``None`` for Duly itself.
        reason: why the user did it, if they said so; reasons of Duly's own are in ``detail``.
        request_id: the id of the request in which the user did it, if there was one.
        detail: further facts, which depend on the kind; JSON values.
        id: its position in the audit trail; ``None`` for kinds that are not stored.
    """

    kind: str
    at: datetime
    job_id: str | None = None
    run_id: str | None = None
    worker_id: str | None = None
    actor: str | None = None
    reason: SafeText | None = None
    request_id: str | None = None
    detail: SafeArguments = field(default_factory=dict)
    id: int | None = None


def check_kind(kind: str) -> str:
    """Return the kind of event if it exists.

    Raises:
        UnknownOption: there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownOption(kind, KINDS, "as an event kind")
    return kind
