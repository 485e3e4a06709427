"""Claiming runs as they are made (engine rule 14): one write less for each run that fires here."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duly.model.identity import new_id
from duly.model.policy import JobOptions
from duly.store.agenda import AgendaQuery
from duly.store.transaction import Transaction
from duly.store.transitions import start_new
from duly.worker.claims.claim import Claim
from duly.worker.claims.claimer import Capacity


@dataclass(frozen=True, slots=True)
class Places:
    """What a worker could start now.

    Attributes:
        worker_id: who.
        capacity: how many runs of each queue; empty: it takes nothing.
        tasks: the tasks that it knows.
        agenda: asked inside the transaction that makes the runs.
    """

    worker_id: str
    capacity: Mapping[str, Capacity]
    tasks: frozenset[str]
    agenda: AgendaQuery

    def taker(self, tx: Transaction) -> OnInsertClaimer | None:
        """Somebody who claims in this transaction; call it before anything is locked.

        A queue that is paused or has limits, or in which anything waits that is older or more
        urgent, gives nothing away: its runs are claimed in their turn.
        """
        free = self.agenda.free(tx, self.worker_id) if self.capacity else ()
        left = {queue: sum(capacity) for queue, capacity in self.capacity.items() if queue in free}
        return OnInsertClaimer(tx, self.worker_id, left, self.tasks) if left else None


@dataclass(slots=True)
class OnInsertClaimer:
    """See `duly.decisions.apply.Taker`.

    Attributes:
        claims: of the runs taken so far.
    """

    tx: Transaction
    worker_id: str
    left: dict[str, int]
    tasks: frozenset[str]
    claims: list[Claim] = field(default_factory=list)
    claim_id: str = field(default_factory=new_id)

    def take(self, ready: Sequence[tuple[dict[str, Any], JobOptions]]) -> None:
        """See `Taker.take`; in the order in which claims are made.

        What a claim would pass over is passed over: a task that is not known here, a run that
        expired before it was made. A concurrency key needs its lock, so nothing overtakes it.
        """
        for row, options in sorted(ready, key=_order):
            queue, places = row["queue"], self.left.get(row["queue"], 0)
            if places <= 0 or row["task"] not in self.tasks or self._is_expired(row):
                continue
            if row["concurrency_key"] is not None:
                self.left[queue] = 0
                continue
            self.left[queue] = places - 1
            start_new(row, self.claim_id, self.worker_id, self.tx.now)
            self.claims.append(_claim(row, options, self.tx.now))

    def announce(self) -> None:
        """State that what was claimed has started; after `keep`."""
        for claim in self.claims if self.tx.hears("run.started") else ():
            self.tx.record(
                "run.started", job_id=claim.job_id, run_id=claim.id, worker_id=claim.worker_id
            )

    def _is_expired(self, row: Mapping[str, Any]) -> bool:
        return row["expires_at"] is not None and row["expires_at"] <= self.tx.now

    def keep(self, stored: Container[str]) -> None:
        """See `Taker.keep`."""
        self.claims = [claim for claim in self.claims if claim.id in stored]


def _order(made: tuple[Mapping[str, Any], JobOptions]) -> tuple[Any, ...]:
    row = made[0]
    return (row["priority"], row["due_at"], row["id"])


def _claim(row: Mapping[str, Any], options: JobOptions, now: datetime) -> Claim:
    return Claim(
        row["id"], row["job_id"], row["task"], row["args"], row["scheduled_for"], row["due_at"],
        row["cause"], row["queue"], 1, row["max_attempts"], 0, False, now, 1, row["claim_id"],
        None, options.run_policy, row["worker_id"],
    )  # fmt: skip
