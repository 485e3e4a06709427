"""Make runs that wait for a slot of their job ready when a slot is free."""

from __future__ import annotations

from collections.abc import Sequence

from duly.errors import ConfigurationError, PayloadError
from duly.model.policy import decode_options
from duly.store import slot_queues, transitions
from duly.store.slot_queues import SlotQueue
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.adaptive_batch import AdaptiveBatch

BATCH = 500
"""The maximum number of jobs in one transaction."""

OF_REMOVED_JOB = 1
"""The number of slots of a job that was removed while its runs waited."""


class SlotWaits:
    """Ends the waits of one scheduler's runs for slots of their jobs.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch_size = AdaptiveBatch(store, BATCH)

    def release(self) -> None:
        """Make waiting runs ready, by priority, then by age, as far as ``max_running`` allows."""
        with self._store.read() as conn:  # no transaction is begun while every slot is taken
            free = [queue for queue in slot_queues.find(conn) if _free_slots(queue)]
        free.sort(key=lambda queue: queue.job_id)
        while free:
            size = self._batch_size.size
            batch, free = free[:size], free[size:]
            self._store.run(lambda tx, batch=batch: self._release(tx, batch))  # type: ignore[misc]

    def _release(self, tx: Transaction, queues: Sequence[SlotQueue]) -> None:
        began = self._store.clock.monotonic()
        slots = {queue: _free_slots(queue) for queue in slot_queues.lock(tx, queues)}
        free = {queue: number for queue, number in slots.items() if number}
        transitions.give_slots(tx, slot_queues.lock_next(tx, free))
        self._batch_size.record(len(queues), self._store.clock.monotonic() - began)


def _free_slots(queue: SlotQueue) -> int:
    """Return how many runs may start; none if options of a newer version cannot be read here."""
    limit = OF_REMOVED_JOB
    if queue.exists:
        try:
            limit = decode_options(queue.options).max_running
        except (ConfigurationError, PayloadError):
            return 0
    return max(0, limit - queue.executing)
