"""A claim: a worker's right to execute one run, valid until it is claimed again or rescued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from duly.model.policy import RunPolicy, decode_run_policy
from duly.model.run import Cause
from duly.model.transition import RunSnapshot
from duly.store.completions import Fence
from duly.store.transaction import Transaction
from duly.store.transitions import Executed

HeldClaim = tuple[str, str]
"""The id of a run and the id of the claim that its worker holds."""


@dataclass(slots=True, eq=False)
class Claim:
    """One claimed run, with what its worker needs to execute it.

    Attributes:
        quarantined: whether it must be the only run that its worker executes.
        token: the fencing token, which rises with each claim and each rescue of the run.
        claim_id: the id of the statement that claimed the run.
        traceparent: the trace context of the span in which the run was requested.
    """

    id: str
    job_id: str | None
    task: str
    args: str
    scheduled_for: datetime | None
    due_at: datetime
    cause: Cause
    queue: str
    attempt: int
    max_attempts: int
    crashes: int
    quarantined: bool
    started_at: datetime
    token: int
    claim_id: str
    unique_key: str | None
    retaken_key: str | None
    policy: RunPolicy
    worker_id: str | None = None
    traceparent: str | None = None

    @classmethod
    def of(cls, row: Any) -> Claim:
        """Return the claim that a row of ``duly_run`` records."""
        return cls(
            id=row.id,
            job_id=row.job_id,
            task=row.task,
            args=row.args,
            scheduled_for=row.scheduled_for,
            due_at=row.due_at,
            cause=row.cause,
            queue=row.queue,
            attempt=row.attempt,
            max_attempts=row.max_attempts,
            crashes=row.crashes,
            quarantined=row.quarantined,
            started_at=row.started_at,
            token=row.token,
            claim_id=row.claim_id,
            unique_key=row.unique_key,
            retaken_key=row.retaken_key,
            policy=decode_run_policy(row.policy),
            worker_id=row.worker_id,
            traceparent=row.traceparent,
        )

    @classmethod
    def of_new(cls, row: Mapping[str, Any]) -> Claim:
        """Return the claim of a run that is claimed as it is inserted.

        Args:
            row: the values to insert, as `transitions.start_new` left them.
        """
        return cls(
            **{name: row[name] for name in _INSERTED},
            crashes=0,
            quarantined=False,
            policy=decode_run_policy(row["policy"]),
        )

    @property
    def fence(self) -> Fence:
        """What the row must still contain for a write-back to be accepted."""
        return {"run": self.id, "seen_token": self.token, "seen_claim": self.claim_id}

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as it is while this claim is valid."""
        return RunSnapshot(
            self.id, self.job_id, self.task, self.queue, "running", self.token, self.claim_id,
            self.worker_id, self.attempt, self.crashes, self.due_at, self.started_at,
            self.unique_key, self.retaken_key, self.policy,
        )  # fmt: skip

    @property
    def executed(self) -> Executed:
        """What is counted of the run when it has been executed."""
        return Executed(self.task, self.queue, self.due_at, self.started_at)

    @property
    def tries(self) -> int:
        """The number of attempts that count against the limit: those in which no worker died."""
        return self.attempt - self.crashes

    @property
    def tries_in_a_row(self) -> int:
        """The number of tries since the last retry by hand, which starts the delays anew."""
        return self.policy.max_attempts - (self.max_attempts - self.tries)


_INSERTED = {field.name for field in fields(Claim)} - {"crashes", "quarantined", "policy"}
"""The fields that a new run's row has under the same name."""


def record_started(tx: Transaction, claims: Sequence[Claim]) -> None:
    """Record that runs have started; nothing is created if that is not listened to."""
    for claim in claims if tx.has_listener("run.started") else ():
        tx.record("run.started", job_id=claim.job_id, run_id=claim.id, worker_id=claim.worker_id)
