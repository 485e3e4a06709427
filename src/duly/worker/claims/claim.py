"""A claim: a worker's right to execute one run, for as long as its token stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from duly.model.policy import RunPolicy, decode_run_policy
from duly.model.run import Cause
from duly.model.transition import RunSnapshot
from duly.store.completions import Fence


@dataclass(slots=True, eq=False)
class Claim:
    """One claimed run, as the engine needs it."""

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
    policy: RunPolicy
    worker_id: str | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Claim:
        """The claim that a claiming statement returned."""
        return cls(
            row.id, row.job_id, row.task, row.args, row.scheduled_for, row.due_at, row.cause,
            row.queue, row.attempt, row.max_attempts, row.crashes, row.quarantined, row.started_at,
            row.token, row.claim_id, row.unique_key, decode_run_policy(row.policy), row.worker_id,
        )  # fmt: skip

    @property
    def fence(self) -> Fence:
        """What every write-back must still find in the row."""
        return {"run": self.id, "seen_token": self.token, "seen_claim": self.claim_id}

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as it is while this claim is valid."""
        return RunSnapshot(
            self.id, self.job_id, "running", self.token, self.claim_id, self.worker_id,
            self.attempt, self.crashes, self.due_at, self.started_at, self.unique_key, self.policy,
        )  # fmt: skip

    @property
    def tries(self) -> int:
        """Attempts that count against the limit: those in which no worker died."""
        return self.attempt - self.crashes

    @property
    def tries_in_a_row(self) -> int:
        """The same since somebody last retried the run by hand: the waits begin anew then."""
        return self.policy.max_attempts - (self.max_attempts - self.tries)
