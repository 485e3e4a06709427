"""The orderly shutdown of a worker."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from duly.errors import DulyError
from duly.run_log import run_fields
from duly.store import workers
from duly.store.store import Store
from duly.worker.execution import Execution
from duly.worker.lease import WorkerLease
from duly.worker.process_jobs import ProcessJobs
from duly.worker.rescue import give_back, return_strays

log = logging.getLogger("duly.worker")
SLICE = 0.05
JOIN_SECONDS = 30.0
"""The maximum number of seconds to wait for the loop's last step."""

INTERRUPT_SECONDS = 2.0
"""Seconds that interrupted functions have to end before their runs are given back."""


class Shutdown:
    """How one worker stops.

    Args:
        store: the database.
        lease: the worker's row and heartbeat.
        execution: its attempts.
        process_jobs: its process jobs.
        complete: writes back ended attempts, for the worker with the given id.

    Attributes:
        skip_grace: set to stop waiting for running functions.
    """

    def __init__(
        self,
        store: Store,
        lease: WorkerLease,
        execution: Execution,
        process_jobs: ProcessJobs,
        complete: Callable[[str], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._execution = execution
        self._apart = process_jobs
        self._complete = complete
        self._finishing = threading.Lock()
        self.skip_grace = threading.Event()

    def run(self, grace: float, loop: threading.Thread | None) -> None:
        """Wait for running functions, interrupt the rest, give their runs back, sign off.

        If functions are still executing then, they keep their places: the worker stays registered,
        and its heartbeat signs it off when the last of them has ended; see `go_on`.

        Args:
            grace: seconds to wait for running functions before they are asked to stop.
            loop: the loop's thread, if it had one.
        """
        worker_id = self._lease.worker_id
        try:
            self._lease.drain()
            self._apart.drain()
            self._execution.give_back_waiting(0)
            if self._execution.in_flight and self._store.dialect.many_writers:
                self._stop_claiming(worker_id)
            self._wait(worker_id, grace, loop)
            if self._any_executes:
                self._log_unfinished()
                self._execution.interrupt_all()
                self._apart.interrupt()
                self._execution.executors.coroutines.end_unreachable(stopped=True)
                self._wait(worker_id, INTERRUPT_SECONDS, loop)
            if loop is not None:
                loop.join(timeout=JOIN_SECONDS)
            self._finish(worker_id)
        except DulyError as error:
            log.error(
                "Worker %s could not stop cleanly (%s); it goes on trying, and if its process ends "
                "before, other workers will rescue its runs.", worker_id, error,
            )  # fmt: skip
            self._stay()

    def _log_unfinished(self) -> None:
        for attempt in self._execution.in_flight.attempts():
            claim = attempt.claim
            log.info(
                "Run %s of %s did not finish within the grace period; asking it to stop.",
                claim.id, claim.job_id or claim.task, extra=run_fields(claim),
            )  # fmt: skip

    def go_on(self) -> None:
        """Free the places of functions that have ended after the stop; sign off after the last.

        The heartbeat calls it on its thread, before each beat and whenever a function has ended.
        """
        with self._finishing:
            if self._lease.leaving:
                self._execution.executors.coroutines.end_unreachable(stopped=True)
                with suppress(DulyError):  # the next beat tries again
                    if self._finish(self._lease.worker_id):
                        self._store.dispose()

    def end_with_process(self) -> None:
        """Sign off although functions are executing, because their threads end in a moment.

        Otherwise other workers would not start their runs before the lease of this one has expired.
        """
        with self._finishing:
            staying = self._lease.leaving and not self._finish(self._lease.worker_id)
        if staying:
            self._lease.leave()

    def revoke(self) -> bool:
        """Let a worker that has stopped take runs again, while it is still registered.

        Returns:
            Whether it was.
        """
        with self._finishing:
            return self._lease.leaving and self._lease.resume()

    def _finish(self, worker_id: str) -> bool:
        """Give everything back, and sign off unless functions are executing; return whether."""
        self._complete(worker_id)
        if worker_id:
            executing = self._execution.abandon_all(worker_id)
            self._store.run(lambda tx: give_back(tx, worker_id))
            if executing:
                self._stay()
                return False
        self._lease.leave()
        return True

    def _stay(self) -> None:
        self._lease.stay()
        _staying.add(self)

    def _stop_claiming(self, worker_id: str) -> None:
        """End claims in progress, and give back at once what they leave, which does not start here.

        Otherwise such runs would wait until all running functions have ended. Where there is only
        one writer they do, because a running function may hold the lock that writing needs.
        """
        try:
            self._store.run(lambda tx: workers.stop_claiming(tx, worker_id))
            return_strays(self._store, worker_id, self._execution.claims)
        except DulyError as error:
            log.warning("Worker %s will give its runs back later: %s", worker_id, error)

    def _wait(self, worker_id: str, seconds: float, loop: threading.Thread | None) -> None:
        """Wait for the attempts in flight, and write each back as it ends.

        A loop that is still alive waits for a lock that a running function holds (SQLite has one
        writer). Then nothing is written here either.
        """
        for _slice in range(math.ceil(seconds / SLICE)):
            if loop is None or not loop.is_alive():
                self._complete(worker_id)
            if self.skip_grace.is_set() or not self._any_executes:
                break
            runs = self._execution.in_flight
            (runs.empty if runs else self._apart.empty).wait(SLICE)

    @property
    def _any_executes(self) -> bool:
        return bool(self._execution.in_flight) or self._apart.busy


_staying: weakref.WeakSet[Shutdown] = weakref.WeakSet()
"""Those whose workers were still registered after their stop."""


def _sign_off_at_exit() -> None:
    for shutdown in list(_staying):
        with suppress(DulyError):  # other workers rescue the runs
            shutdown.end_with_process()


# Registered on import, so that it is called after what the application registers later.
atexit.register(_sign_off_at_exit)
os.register_at_fork(after_in_child=_staying.clear)
