"""Claiming runs as they are inserted (engine rule 14): saves one write for each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from duly.model.identity import new_id
from duly.store.transaction import Transaction
from duly.store.transitions import start_new
from duly.worker.claims.claim import Claim, record_started


@dataclass(slots=True)
class OnInsertClaimer:
    """Claims runs that one transaction is about to insert; see `ClaimOnInsert`.

    Attributes:
        tx: the transaction.
        worker_id: the worker that will execute the runs.
        queues: the queues from which it may claim.
        reserve: reserves capacity for a number of runs of a queue; returns for how many.
        tasks: the tasks that the worker knows.
    """

    tx: Transaction
    worker_id: str
    queues: Collection[str]
    reserve: Callable[[str, int], int]
    tasks: Container[str]
    _claim_id: str = field(default_factory=new_id)
    _claimed: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, ready: Sequence[dict[str, Any]]) -> None:
        """Mark the rows that the worker has slots for as running, in claim order.

        Runs that a claim of stored runs would not take are skipped: those of tasks that the
        worker does not know, and those that have expired. A concurrency key needs its lock, so
        such a run waits for an ordinary claim, and no run of its queue may overtake it.
        """
        chosen: dict[str, list[dict[str, Any]]] = {queue: [] for queue in self.queues}
        for row in sorted(ready, key=_claim_order):
            rows = chosen.get(row["queue"])
            if rows is None or row["task"] not in self.tasks or self._is_expired(row):
                continue
            if row["concurrency_key"] is not None:
                self._claim(row["queue"], chosen.pop(row["queue"]))
                continue
            rows.append(row)
        for queue, rows in chosen.items():
            self._claim(queue, rows)

    def _claim(self, queue: str, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows[: self.reserve(queue, len(rows))] if rows else ():
            start_new(row, self._claim_id, self.worker_id, self.tx.now)
            self._claimed.append(row)

    def take_claims(self, lost: Container[str] = ()) -> list[Claim]:
        """Return the claims, and record that their runs have started.

        Args:
            lost: ids of runs that were not inserted.
        """
        claims = [Claim.of_new(row) for row in self._claimed if row["id"] not in lost]
        record_started(self.tx, claims)
        return claims

    def _is_expired(self, row: Mapping[str, Any]) -> bool:
        return row["expires_at"] is not None and row["expires_at"] <= self.tx.now


def _claim_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["priority"], row["due_at"], row["id"])
