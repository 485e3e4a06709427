"""Maintenance: what a worker does from time to time, each at its own interval."""

from __future__ import annotations

from duly.model.policy import unit_hash
from duly.store import workers
from duly.store.store import Store
from duly.worker.execution import Execution
from duly.worker.lease import WorkerLease
from duly.worker.options import EngineOptions
from duly.worker.periodic import Periodic
from duly.worker.pruning import prune
from duly.worker.rescue import rescue, return_strays
from duly.worker.watching import watch

ATTEND_EVERY = 1.0
PRUNE_EVERY = 600.0
TEND_EVERY = 30.0
WATCH_EVERY = 1.0


class Maintenance:
    """One worker's.

    Args:
        store: the database.
        execution: what it executes.
        lease: its registration.
        options: see `EngineOptions`.
    """

    def __init__(
        self, store: Store, execution: Execution, lease: WorkerLease, options: EngineOptions
    ) -> None:
        self._store = store
        self._execution = execution
        self._lease = lease
        self._options = options
        self._periodic = Periodic(store.clock)

    def do(self, worker_id: str) -> None:
        """Do what is due."""
        heartbeat = self._options.heartbeat
        self._execution.enforce_deadlines(worker_id)
        if self._execution.in_flight and self._periodic.is_due("attend", ATTEND_EVERY):
            self._attend(worker_id)
        if self._periodic.is_due("strays", heartbeat.interval):
            return_strays(self._store, worker_id, self._execution.claims)
        if self._periodic.is_due("rescue", heartbeat.rescue * (0.8 + 0.4 * unit_hash(worker_id))):
            rescue(self._store, self._lease, heartbeat)
        if self._periodic.is_due("watch", WATCH_EVERY):
            watch(self._store)
        if self._periodic.is_due("prune", PRUNE_EVERY):
            prune(self._store)
        if self._periodic.is_due("tend", TEND_EVERY):
            self._options.tend()

    def next(self) -> float | None:
        """When the next one that cannot wait for another reason to look is due."""
        names = ("rescue", "prune", "attend") if self._execution.in_flight else ("rescue", "prune")
        times = [self._periodic.next(name) for name in names]
        return min((time for time in times if time is not None), default=None)

    def _attend(self, worker_id: str) -> None:
        """Look after what is executed: what it tells, what waits too long, what is cancelled."""
        self._execution.give_back_waiting(ATTEND_EVERY)
        self._execution.report_progress()
        with self._store.read() as conn:
            asked = workers.cancel_requests(conn, worker_id)
        self._execution.cancel(asked, worker_id)
