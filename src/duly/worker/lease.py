"""The lease: a worker's row, the heartbeat that renews it, and fencing when it cannot be renewed.

The heartbeat has a thread and a connection of its own, so that neither a busy pool nor a long
transaction of the worker delays it. A second thread only watches the steady clock: a beat that
hangs in the network must not delay fencing.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from duly.errors import DulyError
from duly.model import payload
from duly.model.identity import new_id
from duly.model.settings import Settings
from duly.model.version import VERSION
from duly.model.zone_data import tzdb_version
from duly.store import transitions, workers
from duly.store.sqlite_file import file_of
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.process_identity import own_host, own_process
from duly.worker.worker_locks import WorkerLocks

log = logging.getLogger("duly.worker")
QUICK = 1.0
"""Seconds between two beats while they fail or a step of the clock is unconfirmed."""


@dataclass(slots=True, eq=False)
class Registration:
    """A worker's presence in the database under one id, until it leaves or is fenced.

    Attributes:
        id: the worker's id.
        store: the database through the heartbeat's own connection.
        server: the identity of the server at registration; see `StoreDialect.server_identity`.
        last_beat: when the last successful beat began, on the steady clock.
        threaded: whether threads renew its lease.
        ended: set when the registration ends.
    """

    id: str
    store: Store
    server: str
    last_beat: float
    threaded: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class WorkerLease:
    """Registers one worker, renews its lease, fences it and signs it off.

    Args:
        store: the database.
        settings: the settings of the worker's scheduler.
        on_fence: called when the worker must stop at once because its lease cannot be renewed.

    Attributes:
        heartbeat: its intervals.
        locks: the file locks that prove workers alive; ``None`` where leases do.
        threaded: whether the heartbeat has threads; else `beat_if_due` is called by the loop.
        supervise: called before each beat on the heartbeat's thread; returns why the worker must
            be fenced, if it must.
        report: returns what each beat stores about process jobs; ``None``: nothing.
        draining: whether the worker takes no more runs; stored by the next beat.
        drain_requested: whether it was asked from outside to drain, which holds until it stops.
        on_drain: called on the thread of the beat that has found that request.
        leaving: whether the worker has stopped, and stays registered only for functions that are
            still executing.
        contact_since: since when, on the steady clock, every beat has reached the database;
            infinite while none does.
        quiet_until: until when, on the steady clock, this worker must not rescue anything.
    """

    def __init__(self, store: Store, settings: Settings, on_fence: Callable[[], None]) -> None:
        self._store = store
        self._settings = settings
        self.heartbeat = settings.heartbeat
        self._on_fence = on_fence
        self._lock = threading.RLock()
        self._wake = threading.Event()
        store.outage.at_end(self._wake.set)
        self._registration: Registration | None = None
        self._fenced: tuple[str, str] | None = None
        self._threads: list[threading.Thread] = []
        self.threaded = False
        self.locks = _locks_of(store)
        self.contact_since = 0.0
        self.quiet_until = 0.0
        self.draining = self.drain_requested = self.leaving = False
        self.on_drain: Callable[[], None] = lambda: None
        self.supervise: Callable[[], str | None] = lambda: None
        self.report: Callable[[], str | None] = lambda: None

    @property
    def worker_id(self) -> str:
        """The current registration's id, or ``""``; a fenced worker returns under another id."""
        registration = self._registration
        return registration.id if registration is not None else ""

    @property
    def alive(self) -> bool:
        """Whether this worker is registered."""
        return self._registration is not None

    @contextmanager
    def holding(self, worker_id: str) -> Iterator[bool]:
        """Hold off fencing and stopping inside the block; yield whether claims may still start."""
        with self._lock:
            yield bool(worker_id) and self.worker_id == worker_id and not self.draining

    def register(self) -> str:
        """Store the worker's row under a fresh id, and return that id."""
        steady = self._store.clock.monotonic()
        worker_id = new_id()
        store = self._store.for_heartbeat(self.heartbeat.interval)
        if self.locks is not None:
            self.locks.take(worker_id)
        try:
            server = store.run(lambda tx: self._add_row(tx, worker_id))
        except BaseException:
            if self.locks is not None:
                self.locks.release(worker_id)
            self._close(store)
            raise
        with self._lock:
            self._fenced = None
            self._registration = Registration(worker_id, store, server, steady)
            self.contact_since = steady
            self.draining, self.leaving = self.drain_requested, False
        if self.threaded:
            self._start_threads()
        return worker_id

    def start(self) -> None:
        """Beat on a thread from now on, in this registration and in later ones."""
        self.threaded = True
        self._start_threads()

    def beat(self) -> None:
        """Renew the lease once; fence the worker if that has failed for too long."""
        registration = self._registration
        if registration is None:
            return
        steady = self._store.clock.monotonic()
        if self.locks is not None:
            self.locks.keep(registration.id)
        try:
            problem = self._renew(registration, steady)
        except DulyError as error:
            self._note_missed_beat(registration, error)
            return
        if problem is not None:
            self.fence(registration.id, problem)
            return
        with self._lock:
            current = self._registration is registration
            if current and (self._is_late(registration, steady) or self._cut_off):
                self.contact_since = steady
            registration.last_beat = steady

    def beat_if_due(self) -> None:
        """Beat if the last beat is an interval old; for workers without a heartbeat thread."""
        registration = self._registration
        steady = self._store.clock.monotonic()
        if registration is None or steady - registration.last_beat >= self.heartbeat.interval:
            self.beat()

    def fence(self, worker_id: str, reason: str) -> None:
        """End a registration: nothing in flight may be committed under it any more.

        Does nothing if it has already ended.
        """
        with self._lock:
            registration = self._registration
            if registration is None or registration.id != worker_id:
                return
            log.error(
                "Worker %s is fencing itself: %s. Results of its running functions will not be "
                "written.", worker_id, reason,
            )  # fmt: skip
            self._registration, self._fenced = None, (worker_id, reason)
            self.leaving = False
            registration.ended.set()
            self._on_fence()
        self._wake.set()
        if self.locks is not None:
            self.locks.abandon(worker_id)
        if not self.threaded:  # else the heartbeat's thread does it, which may hang in a beat now
            self._close(registration.store)

    def stay(self) -> None:
        """Keep the worker registered, because functions are still executing after its stop.

        From now on it beats on threads, also if it was stepped by its caller: nothing else happens
        in this process any more that would renew its lease.
        """
        if self.alive:
            self.leaving = True
            self.start()
            self.wake()

    def wake(self) -> None:
        """Call `supervise` and beat now; callable from any thread."""
        self._wake.set()

    def resume(self) -> bool:
        """Take runs again under the registration of which a stop has left the row.

        Returns:
            Whether it was still there. Otherwise the worker must register anew.
        """
        registration = self._registration
        if registration is None:
            return False
        if not self._store.run(lambda tx: workers.allow_claims(tx, registration.id)):
            self.fence(registration.id, "its row is gone, because another worker declared it dead")
            return False
        with self._lock:
            if self._registration is not registration:
                return False
            self.draining = self.drain_requested = self.leaving = False
        return True

    def leave(self) -> None:
        """Stop beating and remove the worker's row; its runs must have been given back before."""
        self.threaded = self.leaving = self.drain_requested = False
        registration = self._registration
        if registration is None:
            return
        registration.ended.set()
        self._wake.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)
        with self._lock:
            self._registration = None
        try:
            self._store.run(lambda tx: _sign_off(tx, registration.id))
            if self.locks is not None:
                self.locks.release(registration.id)
        finally:  # a worker that could not sign off must look dead, so that others take its runs
            if self.locks is not None:
                self.locks.abandon(registration.id)
            self._close(registration.store)

    def drain(self) -> None:
        """Start no claims from now on, and show that the worker takes no more runs.

        A claim in progress may still be committed; its run is given back.
        """
        with self._lock:
            self.draining = True
        self._wake.set()

    def _add_row(self, tx: Transaction, worker_id: str) -> str:
        server = tx.dialect.server_identity(tx.conn)
        settings = self._settings
        workers.add(
            tx, {
                "id": worker_id, "app": settings.name, "host": own_host(), "pid": os.getpid(),
                "process": own_process(), "version": VERSION,
                "app_version": settings.version or None, "fires": settings.fires,
                "tzdb": tzdb_version(), "queues": payload.encode(settings.served_queues),
                "started_at": tx.now, "beat_at": tx.now, "server": server,
                "lease_until": tx.now + timedelta(seconds=self.heartbeat.lease),
                "draining": self.drain_requested, "drain_requested": self.drain_requested,
            },
        )  # fmt: skip
        if self._fenced is not None:
            tx.record("worker.fenced", worker_id=self._fenced[0], reason=self._fenced[1])
        tx.record("worker.started", worker_id=worker_id)
        return server

    def _renew(self, registration: Registration, steady: float) -> str | None:
        """Renew the lease; return why the registration must end, if it must."""
        steps: list[timedelta] = []
        report = self.report()

        def beat(tx: Transaction) -> str | None:
            server = tx.dialect.server_identity(tx.conn)
            if server != registration.server:
                self.quiet_until = steady + self.heartbeat.lease
                return f"another server or timeline answered: {server}, not {registration.server}"
            self._store.read_clock(tx.conn)
            steps.extend(self._store.time.steps())
            tx.now = self._store.time.now()
            lease = tx.now + timedelta(seconds=self.heartbeat.lease)
            renew = partial(
                workers.beat, tx.conn, registration.id, tx.now, lease, process_jobs=report
            )
            if not renew(draining=self.draining):
                if not renew(draining=True):
                    return "its row is gone, because another worker declared it dead"
                self._obey_drain(registration)
            self._record_anomalies(tx, registration, steady, steps)
            return None

        problem = registration.store.run(beat)
        if steps:  # leases written by the old clock prove nothing: see who beats by the new one
            self.contact_since = steady
        return problem

    def _obey_drain(self, registration: Registration) -> None:
        """Take no more runs from now on, because this worker was asked to drain."""
        with self._lock:
            if self._registration is not registration or self.draining:
                return
            self.draining = self.drain_requested = True
        log.info("Worker %s was asked to drain: it takes no more runs.", registration.id)
        self.on_drain()

    def _record_anomalies(
        self, tx: Transaction, registration: Registration, steady: float, steps: list[timedelta]
    ) -> None:
        for step in steps:
            seconds = step.total_seconds()
            tx.record("worker.clock_set", worker_id=registration.id, seconds=seconds)
        if self._is_late(registration, steady):
            late = round(steady - registration.last_beat - self.heartbeat.interval, 1)
            log.warning(
                "The heartbeat of worker %s was %.1f s late; a worker that is late for too long "
                "is fenced.", registration.id, late,
            )  # fmt: skip
            tx.record("worker.late", worker_id=registration.id, seconds=late)

    def _is_late(self, registration: Registration, steady: float) -> bool:
        return steady - registration.last_beat > 2 * self.heartbeat.interval + 1

    @property
    def _cut_off(self) -> bool:
        return self.contact_since == math.inf

    def _note_missed_beat(self, registration: Registration, error: DulyError) -> None:
        with self._lock:
            first = not self._cut_off
            if self._registration is registration:
                self.contact_since = math.inf
        if first and not self._store.outage.is_on:
            log.warning(
                "Worker %s could not renew its lease for %.0f s: %s", registration.id,
                self._silence(registration), " ".join(str(error).split()),
            )  # fmt: skip
        self._fence_if_overdue(registration)

    def _silence(self, registration: Registration) -> float:
        return self._store.clock.monotonic() - registration.last_beat

    def _fence_if_overdue(self, registration: Registration) -> None:
        silent = self._silence(registration)
        if silent >= self.heartbeat.fence and self.locks is None:
            self.fence(registration.id, f"no contact with the database for {silent:.0f} s")

    def _start_threads(self) -> None:
        registration = self._registration
        if registration is None or registration.threaded:
            return
        registration.threaded = True
        self._threads = [_thread("duly-heartbeat", self._serve, registration)]
        if self.locks is None:
            self._threads.append(_thread("duly-watchdog", self._watch, registration))

    def _serve(self, registration: Registration) -> None:
        while not registration.ended.is_set():
            self._store.clock.wait(self._wake, self._pause())
            self._wake.clear()
            if not registration.ended.is_set():
                try:
                    self._supervise(registration)
                    self.beat()
                except Exception:
                    log.exception("A heartbeat of worker %s failed.", registration.id)
        self._close(registration.store)

    def _supervise(self, registration: Registration) -> None:
        """Fence a worker whose loop stands: its heartbeat alone would keep its runs for ever."""
        problem = self.supervise()
        if problem is not None:
            self.fence(registration.id, problem)

    def _watch(self, registration: Registration) -> None:
        """Fence a registration in time, even while its beat hangs."""
        while not registration.ended.is_set():
            self._fence_if_overdue(registration)
            left = self.heartbeat.fence - self._silence(registration)
            self._store.clock.wait(registration.ended, min(left, self.heartbeat.interval))

    def _pause(self) -> float:
        """Return the seconds until the next beat: fewer while beats fail or the clock is unsure."""
        quick = min(QUICK, self.heartbeat.interval / 2)
        if self._cut_off or not self._store.time.settled:
            return quick
        return self.heartbeat.interval

    def _close(self, store: Store) -> None:
        if store is not self._store:
            store.dispose()


def _sign_off(tx: Transaction, worker_id: str) -> None:
    workers.remove(tx, worker_id, None)
    transitions.end_occupations(tx, worker_id)
    tx.record("worker.stopped", worker_id=worker_id)


def _thread(
    name: str, serve: Callable[[Registration], None], registration: Registration
) -> threading.Thread:
    thread = threading.Thread(target=serve, args=(registration,), name=name, daemon=True)
    thread.start()
    return thread


def _locks_of(store: Store) -> WorkerLocks | None:
    if store.dialect.leases_by_heartbeat:
        return None
    locks = WorkerLocks(file_of(store.url))
    return locks if locks.available else None
