"""Quarantine: after its second crash a run executes alone on its worker.

A process that dies takes down every run that it executes, so a crash also counts against runs that
did not cause it. A run that crashes once more while it executes alone is the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Row

from duly.model.identity import new_id
from duly.model.policy import unit_hash
from duly.store import workers
from duly.store.claims.quarantine import claim_quarantined, look
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim

LOOK_EVERY = 1.0
TRIES = 10
"""The number of runs that one step tries to claim; each has a transaction of its own.

A transaction that locked the limits of several runs could deadlock with others.
"""
PATIENCE_S = 60.0
"""Seconds that a quarantined run waits for a worker that happens to be idle."""

CYCLE_S, SHARE = 300.0, 0.1
"""After that, each worker claims nothing new for this share of each cycle, to become idle.

The share is small because of runs that take hours: a quarantined run must not stop all workers.
"""


class Quarantine:
    """Claims quarantined runs for one worker.

    Args:
        store: the database.
        queues: the queues that this worker executes.
        on_claim: called in the transaction of each claim.
    """

    def __init__(
        self,
        store: Store,
        queues: Sequence[str],
        on_claim: Callable[[Transaction, Sequence[Claim]], None],
    ) -> None:
        self._store = store
        self._on_claim = on_claim
        self._queues = list(queues)
        self._next_look = 0.0
        self._startable: Sequence[Row[Any]] = ()
        self._last: Row[Any] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a quarantined run could start, so that this worker may have to become idle."""
        return bool(self._startable)

    def claim(self, worker_id: str, tasks: Sequence[str], *, idle: bool) -> list[Claim] | None:
        """Claim a quarantined run, if one can start and this worker is idle.

        Args:
            worker_id: the worker that will execute it.
            tasks: the tasks that this worker knows.
            idle: whether the worker has nothing in flight.

        Returns:
            One claim; an empty list if the worker should claim nothing else either, to become idle;
            ``None`` if it may claim other runs.
        """
        steady = self._store.clock.monotonic()
        if steady >= self._next_look:
            self._next_look = steady + LOOK_EVERY
            self._look(tasks)
        if not self._startable:
            return None
        if not idle:
            return [] if self._should_become_idle(worker_id, steady) else None
        startable, self._startable = self._startable, ()
        for row in startable[:TRIES]:
            claim = self._store.run(partial(self._take, worker_id, list(tasks), row.id))
            if claim is not None:
                return [claim]
        return None

    def _look(self, tasks: Sequence[str]) -> None:
        now = self._store.time.now()
        with self._store.read() as conn:
            self._startable, self._last = look(conn, self._queues, list(tasks), now, self._last)

    def _take(self, worker_id: str, tasks: list[str], run_id: str, tx: Transaction) -> Claim | None:
        if not workers.lock(tx, worker_id):
            return None
        claim = {"claim": new_id(), "worker": worker_id}
        row = claim_quarantined(tx, claim, self._queues, tasks, run_id)
        if row is None:
            return None
        started = Claim.of(row)
        self._on_claim(tx, [started])
        return started

    def _should_become_idle(self, worker_id: str, steady: float) -> bool:
        waits_since: datetime = self._startable[0].due_at
        waited = (self._store.time.now() - waits_since).total_seconds()
        phase = (steady / CYCLE_S + unit_hash(worker_id)) % 1
        return waited >= PATIENCE_S and phase < SHARE
