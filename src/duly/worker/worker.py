"""A worker: the part of a process that fires due jobs, claims ready runs and executes them."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from duly.errors import LifecycleError
from duly.hooks import AroundRun, Observer
from duly.model.settings import Settings
from duly.registry import LOCAL, Registry
from duly.store import hand_offs
from duly.store.agenda import Agenda
from duly.store.notifier import Notifier
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim, HeldClaim, record_started
from duly.worker.claims.claimer import Claimed
from duly.worker.claims.claims import Claims
from duly.worker.claims.on_insert import OnInsertClaimer
from duly.worker.execution import Execution
from duly.worker.firing import Firing
from duly.worker.hand_offs import hand_offs_of
from duly.worker.in_flight import Reservation
from duly.worker.lease import WorkerLease
from duly.worker.loop import Loop, State
from duly.worker.maintenance import Maintenance
from duly.worker.notice_listener import NoticeListener
from duly.worker.process_jobs import ProcessJob, ProcessJobs
from duly.worker.resolving import resolve
from duly.worker.resources import Resources
from duly.worker.shutdown import Shutdown
from duly.worker.slot_waits import SlotWaits
from duly.worker.wakeup import Wake, Wakeup

log = logging.getLogger("duly.worker")
WAIT_SLICE = 1.0
BLOCKED = 0.1
"""Seconds before looking again at a due job whose row another transaction has locked."""


class Duties(NamedTuple):
    """The operations of its scheduler that a worker calls by itself.

    Attributes:
        prepare: brings tables and declarations up to date; called until it succeeds.
        reconcile: reconciles stored jobs with what this process and others declare now.
        run_at_start: called once after each start of the loop, when its first step has succeeded.
    """

    prepare: Callable[[], None]
    reconcile: Callable[[], None]
    run_at_start: Callable[[], None]


class Worker:
    """One worker of a scheduler.

    Args:
        store: the database.
        registry: the functions.
        settings: the settings of its scheduler.
        notifier: wakes other processes.
        duties: the operations of its scheduler.
        process_jobs: the jobs that each process executes for itself, by id; code may add more.

    Attributes:
        lease: its row in the database and its heartbeat.
        execution: its attempts.
        process_jobs: the jobs that it executes apart from all others.
        hand_offs: hand runs to other systems.
        loop: the thread that steps it.
        shutdown: stops it.
        last_tick: when the last step succeeded, on the steady clock.
        idle_tick: when the last step began, on the steady clock, if it left nothing to do and
            nothing in flight.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        settings: Settings,
        notifier: Notifier,
        duties: Duties,
        *,
        process_jobs: Mapping[str, ProcessJob],
    ) -> None:
        wakeup = self._wakeup = Wakeup(store)
        listener = NoticeListener(notifier, store.clock, wakeup.set, store.outage)
        self._store = store
        self._settings = settings
        self._notifier = notifier
        self._duties = duties
        queues = settings.own_queues
        self.execution = Execution(store, registry, queues, self._attempt_ended)
        if settings.secrets is not None:
            self.execution.provided.secrets = settings.secrets
        self._resources = Resources(
            settings.resources, self.execution.provided, lambda: self.execution.executors.coroutines
        )
        self.lease = WorkerLease(store, settings, self.execution.lose_lease)
        local = registry.names if settings.sole_worker else partial(registry.executed_by, LOCAL)
        self._claims = Claims(store, local, queues)
        self.hand_offs = hand_offs_of(store, registry, settings, self._claiming_id)
        self._firing = Firing(store)
        self._slot_waits = SlotWaits(store)
        self._maintenance = Maintenance(
            store, settings, self.execution, self.lease,
            on_give_back=self._claims.ready.forget_marks, reconcile=duties.reconcile,
        )  # fmt: skip
        self.process_jobs = ProcessJobs(store, self.execution, process_jobs)
        self.loop = Loop(self._step, self._started, wakeup, listener, store.outage)
        self.lease.supervise = self._supervise
        self.lease.on_drain = self._drain
        self.lease.report = self.process_jobs.report
        self.shutdown = Shutdown(
            store, self.lease, self.execution, self.process_jobs, self._complete
        )
        self._next_fire: datetime | None = None
        self._drained = True
        self.last_tick: float | None = None
        self.idle_tick: float | None = None

    @property
    def state(self) -> State:
        """The worker's current state."""
        return self.loop.state

    @property
    def trouble(self) -> str | None:
        """What is wrong with this worker: its loop, or the event loop of its coroutines."""
        return self.loop.trouble or self.event_loop_trouble

    @property
    def event_loop_trouble(self) -> str | None:
        """What is wrong with the event loop on which coroutine functions run."""
        return self.execution.executors.coroutines.trouble(self._store.clock.monotonic())

    @property
    def starting_for(self) -> float | None:
        """Seconds since the start, until the first step has succeeded."""
        return self.loop.starting_for

    @property
    def busy(self) -> bool:
        """Whether any run executes here, or has ended without being written back.

        Process jobs count where the caller steps the worker, and so has to wait for them.
        """
        stepped = not self.loop.threaded and self.process_jobs.busy
        return stepped or self.execution.in_flight.any_live or bool(self.execution.completions)

    def wake(self) -> None:
        """Make the loop take its next step now."""
        self.loop.wake()

    @property
    def alive(self) -> bool:
        """Whether this worker is registered, and has not stopped."""
        return self.lease.alive and not self.lease.leaving

    @property
    def worker_id(self) -> str | None:
        """The id of this worker; ``None`` while it is not registered, or has stopped."""
        return self.lease.worker_id if self.alive else None

    def load(self) -> Counter[str]:
        """Return the number of runs that occupy this worker, by queue."""
        return Counter(claim.queue for claim in self.execution.in_flight.claims())

    def in_flight(self) -> list[str]:
        """Return the ids of the runs that occupy this worker; see `Scheduler.in_flight`."""
        return [claim.id for claim in self.execution.in_flight.claims()]

    def see_process_jobs(self) -> None:
        """Look at the process jobs now, because code has declared another one."""
        if self.state == "running":
            self.process_jobs.start()
        self.process_jobs.wake()

    def executes(self, run_id: str) -> bool:
        """Return whether a run occupies this worker, or is one of its process jobs."""
        return run_id in self.in_flight() or self.process_jobs.executes(run_id)

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until no run is in flight, for at most this time."""
        if self.process_jobs.busy and not self.execution.in_flight:
            self.execution.executors.wait(self.process_jobs.empty, seconds)
        else:
            self.execution.wait_until_empty(seconds)

    def attach(self, loop: AbstractEventLoop) -> None:
        """Run coroutine functions on this event loop until the worker stops."""
        self.execution.executors.coroutines.attach(loop)

    def is_attached_to(self, loop: AbstractEventLoop) -> bool:
        """Return whether coroutine functions run on this event loop."""
        return self.execution.executors.coroutines.loop is loop

    def around(self, enter: AroundRun) -> None:
        """Enter ``enter(run)`` around every run that is executed here."""
        self.execution.around.append(enter)

    def observe(self, observer: Observer) -> None:
        """Report to ``observer`` from now on."""
        self.execution.observer = observer

    @property
    def app(self) -> Any:
        """The web application that runs reach as ``run.app``, if there is one."""
        return self.execution.provided.app

    @app.setter
    def app(self, app: Any) -> None:
        self.execution.provided.app = app

    def open_resources(self) -> None:
        """Enter ``Scheduler(resources=…)``, unless that has happened; `stop` leaves it.

        Raises:
            LifecycleError: it would block the event loop that it needs.
        """
        self._resources.open()

    def inherit(self, former: Worker) -> None:
        """Share the host's registrations with the worker that this one replaces."""
        self.execution.around = former.execution.around
        self.execution.observer = former.execution.observer
        self.app = former.app

    def abandon(self) -> None:
        """In a forked child: leave the parent's worker to the parent."""
        if self.lease.locks is not None:
            self.lease.locks.close_inherited()

    def skip_grace(self) -> None:
        """Make a `stop` that is waiting for running functions give their runs back at once."""
        self.shutdown.skip_grace.set()

    def pending_start(self) -> AbstractContextManager[set[HeldClaim]]:
        """See `Execution.pending_start`."""
        return self.execution.pending_start()

    @contextmanager
    def reserved_slot(self, queue: str) -> Iterator[Reservation | None]:
        """Reserve a slot for a run that another thread than the loop's starts in the block.

        Yield ``None`` if no run of this queue could start here at once.
        """
        if self.state != "running" or self._claims.need_idle_worker:
            yield None
            return
        reservation = None
        try:
            with self.execution.in_flight.reservation() as reservation:
                yield reservation if reservation.take_slot(queue) else None
        finally:
            if reservation is not None and any(reservation.reserved.values()):
                self.wake()  # the loop may have found no free slot meanwhile

    def claim_on_insert(self, tx: Transaction, reservation: Reservation) -> OnInsertClaimer | None:
        """Return a claimer for the runs that this transaction inserts; see `Claims.on_insert`."""
        worker_id = self.lease.worker_id
        if not worker_id or self.lease.draining:
            return None
        return self._claims.on_insert(tx, worker_id, reservation.take)

    def start_claims(self, claims: Sequence[Claim], reservation: Reservation) -> bool:
        """Start runs that were claimed on insert, after the commit.

        Returns:
            Whether they were started. If not, because this worker was fenced or is stopping, they
            are given back or rescued.
        """
        if not claims or self.state != "running":
            return False
        started = self._start(claims[0].worker_id or "", claims, reservation)
        if any(claim.policy.timeout is not None for claim in claims):
            self.wake()  # the loop must learn of their deadlines
        return started

    def execute_in_foreground(self, *, alone: bool) -> None:
        """Execute plain functions on the threads that call `execute_handed_off`.

        Args:
            alone: whether it is called on the main thread of a process that executes nothing else.
        """
        self.execution.use_foreground(self.lease.leave if alone else None)

    def execute_handed_off(self, run_id: str, token: int) -> bool:
        """Execute a run that was handed to this process, and return when its function has ended.

        Args:
            run_id: the run, as the message names it.
            token: its token, as the message names it.

        Returns:
            Whether it was executed: not if the message is late or doubled.
        """
        worker_id = self._claiming_id()
        if not worker_id:
            return False
        with self.pending_start() as pending:
            claim = self._store.run(partial(self._take, worker_id, run_id, token, pending))
            if claim is None:
                return False
            with self.lease.holding(worker_id) as alive:
                if not alive:  # the run is given back, or rescued
                    return False
                attempt = self.execution.admit(claim)
        if claim.policy.timeout is not None:
            self.wake()  # the loop must learn of the deadline
        self.execution.execute(attempt)
        return True

    def _take(
        self, worker_id: str, run_id: str, token: int, pending: set[HeldClaim], tx: Transaction
    ) -> Claim | None:
        busy = bool(self.execution.in_flight)
        row = hand_offs.start(tx, worker_id, run_id, token, any_busy=busy)
        if row is None:
            return None
        claim = Claim.of(row)
        pending.add((claim.id, claim.claim_id))
        record_started(tx, [claim])
        return claim

    def _claiming_id(self) -> str:
        """Return this worker's id, or an empty string while it must not claim."""
        return "" if self.lease.draining or self.lease.leaving else self.lease.worker_id

    def start(self) -> None:
        """Start the loop on a thread of its own, unless it is running."""
        if not self.loop.threaded:
            self.shutdown.skip_grace.clear()
            self.loop.start()

    def stop(self, grace: float) -> None:
        """Take no more runs, wait for those in flight, then give the rest back.

        Args:
            grace: seconds to wait for running functions before they are asked to stop.

        Raises:
            LifecycleError: called on the loop's own thread.
        """
        if self.loop.is_current_thread:
            raise LifecycleError("stop() was called on the thread that it would end")
        if self.state == "stopped" and not self.alive:
            self.process_jobs.stop()
            if self._resources.close():
                self.execution.stop()
            return
        thread = self.loop.stop()
        for hand_off in self.hand_offs:
            hand_off.stop()
        try:
            self.shutdown.run(grace, thread)
        finally:
            self.process_jobs.stop()
            self._resources.close()
            self.execution.stop()
            self.loop.close()

    def tick(self, *, wait: bool = True) -> Wake:
        """Take one step: maintain, complete, fire, claim, and start what was claimed.

        Jobs that the previous step knew to be due by now are fired before outcomes are written.

        Args:
            wait: whether to wait until everything in flight has ended and is written back.

        Returns:
            When the next step is due.
        """
        began = self._store.clock.monotonic()
        worker_id = self._registered()
        self._maintenance.run(worker_id)
        self._fire_foreseen(worker_id)
        self._complete(worker_id)
        agenda = self._ask_agenda()
        apart_due = None if self.loop.threaded else self.process_jobs.step()
        fired = self._fire(agenda, worker_id)
        claimed = self._claim(agenda, fired, worker_id)
        wake = self._next_wake(agenda, fired, claimed, apart_due)
        if self.execution.observer is not None:
            self.execution.observer.step_ended(self._store.clock.monotonic() - began)
        if wait and self._wait_for_in_flight(worker_id):
            wake = Wake(at_once=True)
        self.idle_tick = None if wake.at_once or self.busy else began
        self.last_tick = self._store.clock.monotonic()
        self._note_drained(worker_id)
        self._hand_off()
        return wake

    def _hand_off(self) -> None:
        """Hand runs to other systems, on threads of their own where this worker has any."""
        for hand_off in self.hand_offs:
            if self.loop.threaded:
                hand_off.start()
                hand_off.wake()
            else:
                while hand_off.step():
                    pass

    def _step(self) -> Wake:
        """Take a step of the loop; process jobs begin with the first one, even if it fails."""
        try:
            self._wakeup.arm()
            return self.tick(wait=False)
        finally:
            if self.state in ("starting", "running"):
                self.process_jobs.start()

    def _registered(self) -> str:
        """Return this worker's id; register it first if it is new, or was fenced or stopped."""
        if self.alive:
            self._beat_if_due()
        worker_id = self.lease.worker_id  # read once: the lease's thread may fence it at any time
        if worker_id and not self.lease.leaving:
            return worker_id
        self._duties.prepare()
        self.execution.capture_logs()
        return worker_id if self.shutdown.revoke() else self.lease.register()

    def _beat_if_due(self) -> None:
        if not self.loop.threaded and not self._settings.sole_worker:
            self.lease.beat_if_due()

    def _attempt_ended(self) -> None:
        self.loop.wake()
        if self.lease.leaving:
            self.lease.wake()

    def _supervise(self) -> str | None:
        self.shutdown.go_on()
        return self.loop.supervise()

    def _drain(self) -> None:
        self._drained = False
        self.execution.give_back_waiting(0)
        self.loop.wake()

    def _note_drained(self, worker_id: str) -> None:
        busy = self.busy or self.process_jobs.busy
        if not self._drained and not busy:
            self._drained = True
            log.info("Worker %s is drained: nothing executes in it.", worker_id)

    def _started(self) -> None:
        self._duties.run_at_start()
        self.lease.start()
        log.info("Worker %s started on %s.", self.lease.worker_id, self._store)

    def _complete(self, worker_id: str) -> None:
        completions = self.execution.completions
        while completions and self.lease.worker_id == worker_id:
            if completions.flush(worker_id):
                self._claims.ready.forget_marks()
            if self._settings.lent:
                self._notifier.send()  # others resolve what depends on it

    def _ask_agenda(self) -> Agenda:
        """Query the database for what there is to do; where this process is lent, nothing."""
        if self._settings.lent:
            self.process_jobs.switch(stopped=True)
            return _NOTHING
        with self._store.read() as conn:
            agenda = self._claims.agenda.read(conn, self._store.time.now())
        stopped = agenda.stopped or self.lease.draining
        self.process_jobs.switch(stopped=stopped)
        if stopped:
            return _NOTHING
        return agenda if self._settings.fires else replace(agenda, next_fire=None)

    def _fire_foreseen(self, worker_id: str) -> None:
        foreseen, self._next_fire = self._next_fire, None
        if self.lease.draining:
            return
        if foreseen is not None and foreseen <= self._store.time.now():
            with self.execution.in_flight.reservation() as reservation:
                fired = self._firing.fire_jobs(self._on_insert(worker_id, reservation))
                self._start(worker_id, fired.claims, reservation)

    def _fire(self, agenda: Agenda, worker_id: str) -> _Fired:
        """Turn everything that is due into runs, and start those that were claimed on insert."""
        due_at = min(filter(None, (agenda.next_fire, agenda.next_due)), default=None)
        due = due_at is not None and due_at <= self._store.time.now()
        self._next_fire = None if due else agenda.next_fire
        with self.execution.in_flight.reservation() as reservation:
            fired = self._firing.fire(agenda, self._on_insert(worker_id, reservation))
            self._start(worker_id, fired.claims, reservation)
        resolved = agenda.feeding and resolve(self._store)
        if agenda.waiting:
            self._slot_waits.release()
        return _Fired(
            any_decided=fired.decided or resolved,
            any_ready=fired.ready or resolved or agenda.waiting or bool(agenda.ready),
            blocked=(due and not fired.decided) or (agenda.feeding and not resolved),
        )

    def _claim(self, agenda: Agenda, fired: _Fired, worker_id: str) -> Claimed:
        """Claim as many runs as there is capacity for, and start them."""
        if not fired.any_ready:
            return Claimed()
        with self.execution.in_flight.reservation() as reservation:
            capacity = reservation.take_all()
            if not capacity:
                if fired.any_decided:
                    self._notifier.send()
                return Claimed()
            idle = not (self.execution.in_flight or self.execution.completions)
            claimed = self._claims.claim(worker_id, capacity, idle=idle)
            if claimed is None:
                if not self.lease.draining:
                    self.lease.fence(worker_id, "its row or its lease is gone")
                return Claimed()
            started = self._start(worker_id, claimed.claims, reservation)
            return claimed if started else Claimed()

    def _next_wake(
        self, agenda: Agenda, fired: _Fired, claimed: Claimed, apart_due: datetime | None
    ) -> Wake:
        now, steady = self._store.time.now(), self._store.clock.monotonic()
        dues = [due for due in (agenda.next_fire, agenda.next_due) if due]
        if fired.blocked:
            dues = [now + timedelta(seconds=BLOCKED)]
        if claimed.pause is not None:
            dues.append(now + timedelta(seconds=claimed.pause))
        if apart_due is not None:
            dues.append(apart_due)
        times = [self.execution.next_deadline(), self._maintenance.next()]
        times += [steady + (due - now).total_seconds() for due in dues]
        at = min((moment for moment in times if moment is not None), default=None)
        return Wake(fired.any_decided or claimed.more, at, min(dues, default=None))

    def _on_insert(
        self, worker_id: str, reservation: Reservation
    ) -> Callable[[Transaction], OnInsertClaimer | None]:
        if not self.execution.in_flight.has_capacity:
            return lambda _tx: None
        return lambda tx: self._claims.on_insert(tx, worker_id, reservation.take)

    def _start(self, worker_id: str, claims: Sequence[Claim], reservation: Reservation) -> bool:
        """Start claimed runs, unless this worker was fenced meanwhile, or is being stopped.

        They are then rescued, or given back.
        """
        with self.lease.holding(worker_id) as alive:
            if alive:
                self.execution.start(claims, reservation)
            return alive

    def _wait_for_in_flight(self, worker_id: str) -> bool:
        """Wait for all attempts and write them back; return whether there were any."""
        worked = self.busy
        self._wait_for_process_jobs()
        while self.execution.in_flight or self.execution.completions:
            self.execution.wait(WAIT_SLICE)
            self._beat_if_due()
            self._maintenance.run(worker_id)
            if not self.execution.in_flight.any_live:
                break
        self._complete(worker_id)
        return worked

    def _wait_for_process_jobs(self) -> None:
        """Wait for the process jobs that this step has started."""
        jobs = self.process_jobs
        while not self.loop.threaded and jobs.busy:
            deadline = jobs.next_deadline()
            left = WAIT_SLICE if deadline is None else deadline - self._store.clock.monotonic()
            self.execution.executors.wait(jobs.empty, max(0.0, min(left, WAIT_SLICE)))
            self._beat_if_due()
            jobs.enforce_deadlines()


_NOTHING = Agenda(None, None, None, waiting=False, feeding=False, stopped=True, ready=())


class _Fired(NamedTuple):
    """The result of firing in one step.

    Attributes:
        any_decided: whether anything was decided, so that there may be more.
        any_ready: whether there may be runs to claim.
        blocked: whether something is due whose rows other transactions have locked.
    """

    any_decided: bool
    any_ready: bool
    blocked: bool
