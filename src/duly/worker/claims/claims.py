"""All ways in which one worker claims runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from duly.store.agenda import AgendaQuery
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim, record_started
from duly.worker.claims.claimer import Capacity, Claimed, Claimer
from duly.worker.claims.on_insert import OnInsertClaimer
from duly.worker.claims.quarantine import Quarantine


class Claims:
    """Claims quarantined runs, ready runs, and runs as they are inserted.

    Args:
        store: the database.
        tasks: returns the tasks that the worker executes; runs of others are left for other
            workers.
        queues: the queues that the worker executes.
        on_claim: called in the transaction of each claim of stored runs; default: records that
            they have started.

    Attributes:
        agenda: the query that finds out what there is to do.
        ready: claims runs that are stored as ready.
    """

    def __init__(
        self,
        store: Store,
        tasks: Callable[[], Sequence[str]],
        queues: Iterable[str],
        on_claim: Callable[[Transaction, Sequence[Claim]], None] = record_started,
    ) -> None:
        names = list(queues)
        self._tasks = tasks
        self._quarantine = Quarantine(store, names, on_claim)
        self.agenda = AgendaQuery(names)
        self.ready = Claimer(store, self.agenda, on_claim)

    @property
    def need_idle_worker(self) -> bool:
        """Whether a quarantined run was seen, so that the worker may have to become idle."""
        return self._quarantine.is_waiting

    def claim(
        self, worker_id: str, capacity: Mapping[str, Capacity], *, idle: bool
    ) -> Claimed | None:
        """Claim runs that are stored as ready; a quarantined one first, and then no other.

        Args:
            worker_id: the worker that will execute them.
            capacity: the number of runs of each queue to claim.
            idle: whether the worker has nothing in flight.

        Returns:
            ``None`` if the worker's row or its lease is gone, so that it must not claim.
        """
        tasks = self._tasks()
        quarantined = self._quarantine.claim(worker_id, tasks, idle=idle)
        if quarantined is not None:
            return Claimed(quarantined)
        return self.ready.claim(worker_id, capacity, tasks)

    def on_insert(
        self, tx: Transaction, worker_id: str, reserve: Callable[[str, int], int]
    ) -> OnInsertClaimer | None:
        """Return a claimer for the runs that a transaction will insert, if it may claim any.

        There is none while a quarantined run waits for this worker to become idle. Call it before
        the transaction locks anything. Runs of a queue that is paused or limited, or in which an
        older or more urgent run is ready, are left for `claim`.

        Args:
            tx: the transaction.
            worker_id: the worker that will execute the runs.
            reserve: see `OnInsertClaimer`.
        """
        free = () if self.need_idle_worker else self.agenda.free(tx, worker_id)
        if not free:
            return None
        return OnInsertClaimer(tx, worker_id, free, reserve, frozenset(self._tasks()))
