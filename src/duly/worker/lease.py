"""The heartbeat: a worker's row, its lease, and fencing itself when it cannot beat.

It runs on a thread and a connection of its own, so that no busy pool and no long transaction of
the worker delays it. A second thread only looks at the steady clock: a beat that hangs in the
network must not delay the fence.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from duly.errors import DulyError
from duly.model import payload
from duly.model.identity import new_id
from duly.model.worker import Heartbeat
from duly.model.zone_data import tzdb_version
from duly.store import workers
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.process_identity import own_host, own_process
from duly.worker.worker_locks import WorkerLocks

log = logging.getLogger("duly.worker")
QUICK = 1.0
"""Seconds between two beats while they fail or the clock is in doubt."""


@dataclass(slots=True, eq=False)
class Registration:
    """From one registration of a worker to the end of its lease.

    Attributes:
        id: the worker's id.
        store: the database through the connection of this registration's heartbeat.
        server: which server it talks to; see `StoreDialect.server_identity`.
        good: when the last good beat began, on the steady clock.
        over: set when this registration ends.
    """

    id: str
    store: Store
    server: str
    good: float
    over: threading.Event = field(default_factory=threading.Event)


class WorkerLease:
    """One worker's lives: register, beat, fence, leave.

    Args:
        store: the database.
        app: the scheduler's name.
        queues: what the worker executes, for display.
        heartbeat: how often.
        on_fence: called when the worker must stop at once because its lease cannot be kept.
        version: of the application; empty for none.

    Attributes:
        draining: whether the worker takes no more runs; shown with the next beat.
        contact_since: since when, on the steady clock, every beat has reached the database;
            infinite while none does.
        quiet_until: until when, on the steady clock, this worker rescues nobody.
    """

    def __init__(
        self,
        store: Store,
        app: str,
        queues: Mapping[str, int],
        heartbeat: Heartbeat,
        on_fence: Callable[[], None],
        *,
        version: str = "",
    ) -> None:
        self._store = store
        self._app = app
        self._version = version
        self._queues = dict(queues)
        self._heartbeat = heartbeat
        self._on_fence = on_fence
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._registration: Registration | None = None
        self._fenced: tuple[str, str] | None = None
        self._threads: list[threading.Thread] = []
        self.threaded = False
        self.locks = _locks_of(store)
        self.contact_since = 0.0
        self.quiet_until = 0.0
        self.draining = False

    @property
    def worker_id(self) -> str:
        """This registration's id; a worker that was fenced comes back under another."""
        registration = self._registration
        return registration.id if registration is not None else ""

    @property
    def alive(self) -> bool:
        """Whether this worker has a row and a lease."""
        return self._registration is not None

    @contextmanager
    def holding(self, worker_id: str) -> Iterator[bool]:
        """Hold off fencing inside the block; yield whether the registration is still current."""
        with self._lock:
            yield bool(worker_id) and self.worker_id == worker_id

    def begin(self) -> str:
        """Store the worker's row under a fresh id, and return that."""
        steady = self._store.clock.monotonic()
        worker_id = new_id()
        store = self._store.for_heartbeat(self._heartbeat.interval)
        if self.locks is not None:
            self.locks.take(worker_id)
        try:
            server = store.run(lambda tx: self._register(tx, worker_id))
        except BaseException:
            if self.locks is not None:
                self.locks.release(worker_id)
            self._close(store)
            raise
        with self._lock:
            self._fenced = None
            self._registration = Registration(worker_id, store, server, steady)
            self.contact_since = steady
            self.draining = False
        if self.threaded:
            self._serve_life()
        return worker_id

    def start(self) -> None:
        """Beat on a thread of its own from now on, in this registration and those that follow."""
        self.threaded = True
        self._serve_life()

    def beat(self) -> None:
        """Prolong the lease once; fence the worker when that has failed for too long."""
        registration = self._registration
        if registration is None:
            return
        steady = self._store.clock.monotonic()
        try:
            trouble = self._prolong(registration, steady)
        except DulyError as error:
            self._missed_beat(registration, error)
            return
        if trouble is not None:
            self.fence(registration.id, trouble)
            return
        with self._lock:
            if self._registration is registration and (
                self._is_late(registration, steady) or self._cut_off
            ):
                self.contact_since = steady
            registration.good = steady

    def beat_if_due(self) -> None:
        """`beat` when the last one is an interval ago: for workers without a heartbeat thread."""
        registration = self._registration
        if (
            registration is None
            or self._store.clock.monotonic() - registration.good >= self._heartbeat.interval
        ):
            self.beat()

    def fence(self, worker_id: str, reason: str) -> None:
        """Stop a registration: what is on its way must not be committed any more.

        Does nothing when that registration is over already, whoever ended it.
        """
        with self._lock:
            registration = self._registration
            if registration is None or registration.id != worker_id:
                return
            log.error("worker %s fences itself: %s", worker_id, reason)
            self._registration, self._fenced = None, (worker_id, reason)
            registration.over.set()
            self._on_fence()
        self._wake.set()
        if self.locks is not None:
            self.locks.release(worker_id)
        if not self.threaded:  # else the heartbeat's thread does it, which may hang in a beat now
            self._close(registration.store)

    def leave(self) -> None:
        """Stop beating and remove the worker's row, which must hold no run any more."""
        self.threaded = False
        registration = self._registration
        if registration is None:
            return
        registration.over.set()
        self._wake.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)
        with self._lock:
            self._registration = None
        try:
            self._store.run(lambda tx: _sign_off(tx, registration.id))
        finally:  # whoever could not sign off must look dead, so that others take its runs
            if self.locks is not None:
                self.locks.release(registration.id)
            self._close(registration.store)

    def drain(self) -> None:
        """Show that the worker takes no more runs, without waiting until that is written."""
        self.draining = True
        self._wake.set()

    def _register(self, tx: Transaction, worker_id: str) -> str:
        server = tx.dialect.server_identity(tx.conn)
        workers.add(
            tx, {
                "id": worker_id, "app": self._app, "host": own_host(), "pid": os.getpid(),
                "process": own_process(), "version": importlib.metadata.version("duly"),
                "app_version": self._version or None,
                "tzdb": tzdb_version(), "queues": payload.encode(self._queues),
                "started_at": tx.now, "beat_at": tx.now, "server": server,
                "lease_until": tx.now + timedelta(seconds=self._heartbeat.lease),
            },
        )  # fmt: skip
        if self._fenced is not None:
            tx.record("worker.fenced", worker_id=self._fenced[0], reason=self._fenced[1])
        tx.record("worker.started", worker_id=worker_id)
        return server

    def _prolong(self, registration: Registration, steady: float) -> str | None:
        """Beat; says why this registration must end, if it must."""
        steps: list[timedelta] = []

        def beat(tx: Transaction) -> str | None:
            server = tx.dialect.server_identity(tx.conn)
            if server != registration.server:
                self.quiet_until = steady + self._heartbeat.lease
                return f"another server or timeline answered: {server}, not {registration.server}"
            self._store.read_clock(tx.conn)
            steps.extend(self._store.time.steps())
            tx.now = self._store.time.now()
            lease = tx.now + timedelta(seconds=self._heartbeat.lease)
            if not workers.beat(tx.conn, registration.id, tx.now, lease, draining=self.draining):
                return "its row is gone: somebody took it for dead"
            self._record_oddities(tx, registration, steady, steps)
            return None

        trouble = registration.store.run(beat)
        if steps:  # leases told by the old clock prove nothing: see who beats by the new one
            self.contact_since = steady
        return trouble

    def _record_oddities(
        self, tx: Transaction, registration: Registration, steady: float, steps: list[timedelta]
    ) -> None:
        for step in steps:
            tx.record("worker.clock_set", worker_id=registration.id, seconds=step.total_seconds())
        if self._is_late(registration, steady):
            late = round(steady - registration.good - self._heartbeat.interval, 1)
            log.warning("heartbeat %.1f s late", late)
            tx.record("worker.late", worker_id=registration.id, seconds=late)

    def _is_late(self, registration: Registration, steady: float) -> bool:
        return steady - registration.good > 2 * self._heartbeat.interval + 1

    @property
    def _cut_off(self) -> bool:
        return self.contact_since == math.inf

    def _missed_beat(self, registration: Registration, error: DulyError) -> None:
        with self._lock:
            if self._registration is registration:
                self.contact_since = math.inf
        log.warning("no heartbeat for %.0f s: %s", self._silence(registration), error)
        self._fence_if_overdue(registration)

    def _silence(self, registration: Registration) -> float:
        return self._store.clock.monotonic() - registration.good

    def _fence_if_overdue(self, registration: Registration) -> None:
        silent = self._silence(registration)
        if silent >= self._heartbeat.fence and self.locks is None:
            self.fence(registration.id, f"no contact with the database for {silent:.0f} s")

    def _serve_life(self) -> None:
        registration = self._registration
        if registration is None:
            return
        self._threads = [_thread("duly-heartbeat", self._serve, registration)]
        if self.locks is None:
            self._threads.append(_thread("duly-watchdog", self._watch, registration))

    def _serve(self, registration: Registration) -> None:
        while not registration.over.is_set():
            self._store.clock.wait(self._wake, self._pause(registration))
            self._wake.clear()
            if not registration.over.is_set():
                try:
                    self.beat()
                except Exception:
                    log.exception("heartbeat failed")
        self._close(registration.store)

    def _watch(self, registration: Registration) -> None:
        """Fence a registration in time, even while its beat hangs."""
        while not registration.over.is_set():
            self._fence_if_overdue(registration)
            left = self._heartbeat.fence - self._silence(registration)
            self._store.clock.wait(registration.over, min(left, self._heartbeat.interval))

    def _pause(self, registration: Registration) -> float:
        """Until the next beat; sooner while beats fail or the clock is in doubt."""
        quick = min(QUICK, self._heartbeat.interval / 2)
        if self._cut_off or not self._store.time.settled:
            return quick
        return self._heartbeat.interval

    def _close(self, store: Store) -> None:
        if store is not self._store:
            store.dispose()


def _sign_off(tx: Transaction, worker_id: str) -> None:
    workers.take_away(tx, worker_id, None)
    tx.record("worker.stopped", worker_id=worker_id)


def _thread(
    name: str, serve: Callable[[Any], None], registration: Registration
) -> threading.Thread:
    thread = threading.Thread(target=serve, args=(registration,), name=name, daemon=True)
    thread.start()
    return thread


def _locks_of(store: Store) -> WorkerLocks | None:
    if store.dialect.leases_by_heartbeat:
        return None
    locks = WorkerLocks(store.url.database or "")
    return locks if locks.available else None
