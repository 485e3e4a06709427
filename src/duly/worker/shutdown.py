"""Shutdown: the orderly end of a worker."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from duly.errors import DulyError
from duly.store.store import Store
from duly.worker.execution import Execution
from duly.worker.lease import WorkerLease
from duly.worker.rescue import give_back

log = logging.getLogger("duly.worker")
SLICE = 0.05
LONGEST = 30.0
"""Seconds that a loop has to end its last step."""

LAST_WORDS = 2.0
"""Seconds that interrupted functions have to end at a stop before their runs are given back."""


class Shutdown:
    """One worker's.

    Args:
        store: the database.
        lease: its registration.
        execution: what it executes.
        write_back: stores what has ended, for the worker with this id.

    Attributes:
        skip_grace: set it, and nothing is waited for any more.
    """

    def __init__(
        self,
        store: Store,
        lease: WorkerLease,
        execution: Execution,
        write_back: Callable[[str], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._execution = execution
        self._write_back = write_back
        self.skip_grace = threading.Event()

    def run(self, grace: float, loop: threading.Thread | None) -> None:
        """Wait, ask, give back, leave.

        Args:
            grace: seconds to wait for running functions before they are asked to stop.
            loop: the worker's thread, if it had one.
        """
        worker_id = self._lease.worker_id
        try:
            self._lease.drain()
            self._execution.give_back_waiting(0)
            self._see_off(worker_id, grace, loop)
            if self._execution.in_flight:
                self._execution.interrupt_all()
                self._see_off(worker_id, LAST_WORDS, loop)
            if loop is not None:
                loop.join(timeout=LONGEST)
            self._write_back(worker_id)
            if worker_id:
                self._store.run(lambda tx: give_back(tx, worker_id))
            self._lease.leave()
        except DulyError as error:
            log.error("could not leave in order (%s); the runs will be rescued", error)

    def _see_off(self, worker_id: str, seconds: float, loop: threading.Thread | None) -> None:
        """Wait for what is on its way, writing back each as it ends.

        A loop that is still alive waits for a lock that a running function holds (SQLite has one
        writer): then nothing is written here either.
        """
        for _slice in range(math.ceil(seconds / SLICE)):
            if loop is None or not loop.is_alive():
                self._write_back(worker_id)
            if self.skip_grace.is_set() or self._execution.in_flight.empty.wait(SLICE):
                break
