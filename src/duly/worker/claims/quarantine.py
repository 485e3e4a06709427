"""Runs that execute alone: after its second crash nothing runs beside a run on its worker.

A process that dies takes everything down that ran in it, so a crash blames the innocent too. Who
crashes once more, alone, has shown that it is the one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from duly.model.identity import new_id
from duly.model.policy import unit_hash
from duly.store import workers
from duly.store.claims.quarantine import claim_quarantined, next_quarantined
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim

LOOK_EVERY = 1.0
PATIENCE_S = 60.0
"""Seconds that such a run waits for a worker that happens to have nothing to do."""

CYCLE_S, SHARE = 300.0, 0.1
"""After that, each worker takes nothing new for this share of each cycle, to have nothing to do.

Not longer: what runs for hours must not let one suspicious run stop a whole fleet.
"""


class Quarantine:
    """Claims the runs of one worker that must execute alone.

    Args:
        store: the database.
        queues: what this worker executes.
    """

    def __init__(self, store: Store, queues: Sequence[str]) -> None:
        self._store = store
        self._queues = list(queues)
        self._next_look = 0.0
        self._waits_since: datetime | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether such a run was seen, so that this worker may have to become idle."""
        return self._waits_since is not None

    def claim(self, worker_id: str, tasks: Sequence[str], *, idle: bool) -> list[Claim] | None:
        """A run that executes alone, if one waits and this worker has nothing else to do.

        Args:
            worker_id: for whom.
            tasks: what this worker knows.
            idle: whether nothing is on its way.

        Returns:
            That one claim; nothing, where this worker should take nothing else either, to become
            idle; ``None``: it may claim as ever.
        """
        steady = self._store.clock.monotonic()
        if steady >= self._next_look:
            self._next_look = steady + LOOK_EVERY
            self._waits_since = self._look(tasks)
        if self._waits_since is None:
            return None
        if not idle:
            return [] if self._makes_way(worker_id, steady) else None
        self._waits_since = None
        claim = self._store.run(lambda tx: self._take(tx, worker_id, list(tasks)))
        return None if claim is None else [claim]

    def _look(self, tasks: Sequence[str]) -> datetime | None:
        now = self._store.time.now()
        with self._store.read() as conn:
            found = next_quarantined(conn, self._queues, list(tasks), now)
        return None if found is None else found.due_at

    def _take(self, tx: Transaction, worker_id: str, tasks: list[str]) -> Claim | None:
        if not workers.hold(tx, worker_id):
            return None
        wanted = {"claim": new_id(), "worker": worker_id}
        row = claim_quarantined(tx, wanted, self._queues, tasks)
        if row is None:
            return None
        tx.record("run.started", job_id=row.job_id, run_id=row.id, worker_id=worker_id)
        return Claim.of(row)

    def _makes_way(self, worker_id: str, steady: float) -> bool:
        if self._waits_since is None:
            return False
        waited = (self._store.time.now() - self._waits_since).total_seconds()
        place = (steady / CYCLE_S + unit_hash(worker_id)) % 1
        return waited >= PATIENCE_S and place < SHARE
