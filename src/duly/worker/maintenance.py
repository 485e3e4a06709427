"""Maintenance: the duties that a worker performs at intervals, beside firing and executing."""

from __future__ import annotations

from collections.abc import Callable

from duly.model.settings import Settings
from duly.store import workers
from duly.store.store import Store
from duly.worker.execution import Execution
from duly.worker.lease import WorkerLease
from duly.worker.periodic import Periodic
from duly.worker.pruning import prune, sum_up
from duly.worker.rescue import rescue, return_strays
from duly.worker.watching import watch

CHECK_EVERY = 1.0
PRUNE_EVERY = 600.0
SUM_UP_EVERY = 30.0
RECONCILE_EVERY = 30.0
WATCH_EVERY = 1.0
RESCUE_SPREAD = 0.2


class Maintenance:
    """The duties of one worker.

    Args:
        store: the database.
        settings: the settings of its scheduler.
        execution: its attempts.
        lease: its row in the database.
        on_give_back: called after runs were given back that this worker had claimed.
        reconcile: reconciles stored jobs with what is declared.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        execution: Execution,
        lease: WorkerLease,
        *,
        on_give_back: Callable[[], None],
        reconcile: Callable[[], None],
    ) -> None:
        self._store = store
        self._execution = execution
        self._on_give_back = on_give_back
        heartbeat = settings.heartbeat
        self._duties = [
            Periodic(
                CHECK_EVERY, self._check_in_flight,
                wakes=True, only_if=lambda: len(execution.in_flight),
            ),
            Periodic(WATCH_EVERY, lambda _: watch(store)),
        ]  # fmt: skip
        if settings.sole_worker:
            return
        self._duties += [
            Periodic(heartbeat.interval, self._return_strays),
            Periodic(
                heartbeat.rescue, lambda _: rescue(store, lease, heartbeat),
                spread=RESCUE_SPREAD, wakes=True,
            ),
            Periodic(PRUNE_EVERY, lambda _: prune(store), wakes=True),
            Periodic(SUM_UP_EVERY, lambda _: sum_up(store)),
            Periodic(RECONCILE_EVERY, lambda _: reconcile()),
        ]  # fmt: skip

    def run(self, worker_id: str) -> None:
        """Enforce timeouts, and perform the duties that are due."""
        self._execution.enforce_deadlines(worker_id)
        for duty in self._duties:
            duty.run(worker_id, self._store.clock.monotonic())

    def next(self) -> float | None:
        """Return when the loop must wake up for a duty, on the steady clock."""
        times = [duty.next_wake for duty in self._duties]
        return min((time for time in times if time is not None), default=None)

    def _return_strays(self, worker_id: str) -> None:
        if return_strays(self._store, worker_id, self._execution.claims):
            self._on_give_back()

    def _check_in_flight(self, worker_id: str) -> None:
        """Give back stale prefetched claims, store progress, and obey requests to cancel.

        Also ask the event loop of coroutine jobs whether it is running.
        """
        self._execution.executors.coroutines.watch(self._store.clock.monotonic())
        self._execution.give_back_waiting(CHECK_EVERY)
        self._execution.report_progress()
        with self._store.read() as conn:
            requested = workers.cancel_requests(conn, worker_id)
        self._execution.cancel(requested, worker_id)
