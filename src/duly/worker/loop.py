"""The engine: one step function, `tick`, and a thread around it that only waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from duly.errors import DulyError, LifecycleError
from duly.executors.log_capture import run_log_handler
from duly.registry import Registry
from duly.store.agenda import Agenda, AgendaQuery
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim
from duly.worker.claims.claimer import Capacity, Claimed, Claimer
from duly.worker.claims.on_insert import OnInsertClaimer, Places
from duly.worker.claims.quarantine import Quarantine
from duly.worker.completion import Completions
from duly.worker.execution import Execution
from duly.worker.firing import Firing
from duly.worker.lease import WorkerLease
from duly.worker.maintenance import Maintenance
from duly.worker.notice_listener import NoticeListener
from duly.worker.options import EngineOptions
from duly.worker.resolving import resolve
from duly.worker.shutdown import Shutdown
from duly.worker.slot_waits import release_waiting
from duly.worker.wakeup import Wakeup

log = logging.getLogger("duly.worker")
State = Literal["stopped", "starting", "running", "stopping"]
SECOND = 1.0
LONGEST_BACKOFF = 30.0
SOON = 0.5
BLOCKED = 0.1
"""Seconds before looking again at a due job whose row somebody else has locked."""

NO_CAPACITY = Capacity(0, 0)


class Engine:
    """One worker.

    Args:
        store: the database.
        registry: the functions.
        options: see `EngineOptions`.

    Attributes:
        state: what it is doing.
        trouble: the last error of the loop, until a tick succeeds again.
        last_tick: when the last tick succeeded, on the steady clock.
        rested: when the last tick began, if it left nothing to do and nothing on its way.
        shutdown: how it stops.
    """

    def __init__(self, store: Store, registry: Registry, options: EngineOptions) -> None:
        self._store = store
        self._registry = registry
        self._options = options
        self._wakeup = Wakeup(store)
        self._listener = NoticeListener(options.notifier, store.clock, self._wakeup.set)
        self._ended = Completions(store)
        self.execution = Execution(store, registry, self._ended, self._wakeup.set, options.queues)
        self._in_flight = self.execution.in_flight
        self.lease = WorkerLease(
            store, options.app, options.queues, options.heartbeat, self._fenced,
            version=options.version,
        )  # fmt: skip
        self._agenda = AgendaQuery(options.queues)
        self._claimer = Claimer(store, self._agenda)
        self._quarantine = Quarantine(store, list(options.queues))
        self._captures = False
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._maintenance = Maintenance(store, self.execution, self.lease, options)
        self._firing = Firing(store)
        self._next: datetime | None = None
        self._foreseen: datetime | None = None
        self._blocked = False
        self._rate: float | None = None
        self.state: State = "stopped"
        self.trouble: str | None = None
        self.last_tick: float | None = None
        self.rested: float | None = None
        self.shutdown = Shutdown(store, self.lease, self.execution, self._write_back)

    def wake(self) -> None:
        """Make the loop look at the database now."""
        self._wakeup.set()

    @property
    def busy(self) -> bool:
        """Whether anything is executed here, or has ended and is not written back."""
        return self._any_live() or bool(self._ended)

    def has_place(self, queue: str) -> bool:
        """Whether a run of this queue could start here at once."""
        return self.state == "running" and self._capacity().get(queue, NO_CAPACITY).free > 0

    def taker(self, tx: Transaction) -> OnInsertClaimer | None:
        """Somebody who claims what is made in this transaction; see `Places.taker`."""
        worker_id = self.lease.worker_id
        return self._places(worker_id).taker(tx) if worker_id else None

    def begin(self, claims: Sequence[Claim]) -> bool:
        """Start what a `taker` claimed and is committed; says whether anything was.

        What cannot start, because this worker was fenced or stops, is given back or rescued.
        """
        if not claims or self.state != "running":
            return False
        started = self._start(claims[0].worker_id or "", claims)
        if any(claim.policy.timeout is not None for claim in claims):
            self._wakeup.set()  # the loop must know when to look at them again
        return started

    def start(self) -> None:
        """Start the loop on a thread of its own; does nothing when it runs already."""
        if self._thread is not None:
            return
        self.state = "starting"
        self._halt.clear()
        self.shutdown.skip_grace.clear()
        self._thread = threading.Thread(target=self._serve, name="duly-engine", daemon=True)
        self._thread.start()
        self._listener.start()

    def stop(self, grace: float) -> None:
        """Take no more runs, wait for those on their way, then give the rest back.

        Args:
            grace: seconds to wait for running functions before they are asked to stop.
        """
        if threading.current_thread() is self._thread:
            raise LifecycleError("stop() was called by a listener, on the thread that it would end")
        thread, self._thread = self._thread, None
        if self.state == "stopped" and not self.lease.alive:
            return
        self.state = "stopping"
        self._halt.set()
        self._wakeup.set()
        self._listener.stop()
        if thread is not None:
            thread.join(timeout=SOON)
        try:
            self.shutdown.run(grace, thread)
        finally:
            self.execution.stop()
            if self._captures:
                run_log_handler.remove()
                self._captures = False
            self._wakeup.close()
        self.state = "stopped"

    def tick(self, *, wait: bool = True) -> bool:
        """One step: write back, fire, claim and start what is due.

        Args:
            wait: whether to wait until what this step started has ended and is written back.

        Returns:
            Whether there may be more to do at once.
        """
        began = self._store.clock.monotonic()
        worker_id = self._live()
        self._maintenance.do(worker_id)
        self._fire_foreseen(worker_id)
        self._write_back(worker_id)
        more = self._step(self._ask(), worker_id)
        if wait:
            more |= self._settle(worker_id)
        self.rested = None if more or self.busy else began
        self.last_tick = self._store.clock.monotonic()
        self.trouble = None
        return more

    def _live(self) -> str:
        """This worker's id; a worker that has none (the first, or fenced) begins a registration."""
        if self._thread is None and self.lease.alive:
            self.lease.beat_if_due()
        worker_id = self.lease.worker_id
        if not worker_id:
            self._options.prepare()
            if not self._captures:
                run_log_handler.install()
                self._captures = True
            worker_id = self.lease.begin()
        return worker_id

    def _fire_foreseen(self, worker_id: str) -> None:
        """Fire what the last look at the database knew would come."""
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen <= self._store.time.now():
            fired = self._firing.fire_jobs(self._places(worker_id))
            self._start(worker_id, fired.claims)

    def _ask(self) -> Agenda:
        with self._store.read() as conn:
            agenda = self._agenda.ask(conn, self._store.time.now())
        return agenda if self._options.fires else replace(agenda, next_fire=None)

    def _step(self, agenda: Agenda, worker_id: str) -> bool:
        times = [time for time in (agenda.next_fire, agenda.next_due) if time is not None]
        self._next = None if agenda.stopped else min(times, default=None)
        self._rate = None
        if agenda.stopped:
            return False
        due = self._next is not None and self._next <= self._store.time.now()
        fired = self._firing.fire(agenda, self._places(worker_id))
        self._start(worker_id, fired.claims)
        self._blocked = due and not fired.decided
        self._foreseen = None if due else agenda.next_fire
        more, ready = fired.decided, fired.ready or bool(agenda.ready)
        if agenda.feeding and resolve(self._store):
            more = ready = True
        elif agenda.feeding:  # its children are locked by others: look again soon
            self._next, self._blocked = self._store.time.now(), True
        if agenda.waiting:
            release_waiting(self._store)
        if ready or agenda.waiting:
            if more and not self._in_flight.capacity():
                self._options.notifier.send()
            more |= self._claim(worker_id)
        return more

    def _places(self, worker_id: str) -> Places:
        """What may be claimed as it is made."""
        return Places(worker_id, self._capacity(), frozenset(self._registry.names()), self._agenda)

    def _capacity(self) -> Mapping[str, Capacity]:
        """How much may be claimed: nothing while a run waits to execute alone."""
        return {} if self._quarantine.is_waiting else self._in_flight.capacity()

    def _start(self, worker_id: str, claims: Sequence[Claim]) -> bool:
        """Start claimed runs, unless this worker was fenced meanwhile: they will be rescued."""
        with self.lease.holding(worker_id) as alive:
            if alive:
                self.execution.start(claims)
            return alive

    def _claim(self, worker_id: str) -> bool:
        """Claim as much as there is capacity for; says whether there may be more."""
        capacity = self._in_flight.capacity()
        if not capacity:
            return False
        tasks = self._registry.names()
        alone = self._quarantine.claim(worker_id, tasks, idle=not (self._in_flight or self._ended))
        got = (
            Claimed(alone) if alone is not None else self._claimer.claim(worker_id, capacity, tasks)
        )
        if got is None:
            self.lease.fence(worker_id, "its row or its lease is gone")
            return False
        if not self._start(worker_id, got.claims):
            return False
        if got.pause is not None:
            self._rate = self._store.clock.monotonic() + got.pause
        return got.more

    def _settle(self, worker_id: str) -> bool:
        """Wait for what is on its way, write it back; says whether anything was."""
        worked = self.busy
        while self._in_flight or self._ended:
            deadline = self.execution.next_deadline()
            pause = None if deadline is None else deadline - self._store.clock.monotonic()
            self._in_flight.empty.wait(SECOND if pause is None else max(0.0, min(pause, SECOND)))
            if self._thread is None:
                self.lease.beat_if_due()
            self._maintenance.do(worker_id)
            if not self._any_live():
                break
        self._write_back(worker_id)
        return worked

    def _any_live(self) -> bool:
        return any(not attempt.abandoned for attempt in self._in_flight.all())

    def _write_back(self, worker_id: str) -> None:
        while self._ended and self.lease.worker_id == worker_id:
            self._ended.flush(worker_id)

    def _serve(self) -> None:
        failures = 0
        while not self._halt.is_set():
            try:
                self._wakeup.arm()
                more = self.tick(wait=False)
                if self.state == "starting":
                    self.lease.start()
                    self.state = "running"
                    log.info("worker %s started on %s", self.lease.worker_id, self._store)
                failures = 0
                if not more:
                    self._wakeup.wait(self._until_next())
            except Exception as error:  # noqa: BLE001 - the loop must outlive everything
                failures += 1
                self._stumble(error, failures)

    def _stumble(self, error: Exception, failures: int) -> None:
        self.trouble = f"{type(error).__name__}: {error}"
        pause = min(LONGEST_BACKOFF, 0.25 * 2**failures)
        known = isinstance(error, DulyError)
        log.error("%s; trying again in %.1f s", self.trouble, pause, exc_info=not known)
        self._store.clock.wait(self._halt, pause)

    def _until_next(self) -> float | None:
        steady = self._store.clock.monotonic()
        times = [self.execution.next_deadline(), self._rate, self._maintenance.next()]
        if self._next is not None:
            wait = (self._next - self._store.time.now()).total_seconds()
            times.append(steady + (max(wait, BLOCKED) if self._blocked else wait))
        return min((moment - steady for moment in times if moment is not None), default=None)

    def _fenced(self) -> None:
        self.execution.lose_lease()
        self._ended.forget()
