"""Execution: from a claim to a call of its task's function, and the ways to stop that call."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial
from operator import itemgetter
from typing import Any

from duly.context import Provided, Run, RunFacts
from duly.executors.base import CallResult, Executors, stored_arguments
from duly.executors.event_loop import EventLoopExecutor
from duly.executors.failure import CallError
from duly.executors.foreground import ForegroundExecutor, MainThreadExecutor
from duly.executors.log_capture import log_capture
from duly.executors.process.executor import ProcessExecutor
from duly.executors.thread import ThreadExecutor
from duly.hooks import AroundRun, Observer
from duly.model import payload
from duly.registry import Registry, Task
from duly.store import completions, runs
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.tracing import run_span
from duly.worker.attempt import Attempt, Phase
from duly.worker.attempt_rows import log_rows, note_of
from duly.worker.claims.claim import Claim, HeldClaim
from duly.worker.completion import REFUSALS, Completions
from duly.worker.in_flight import InFlight, Reservation

log = logging.getLogger("duly.worker")
PATIENCE = 5.0
"""Seconds that an interrupted function has to end before its run is ended without it."""

MAX_APART = 1_000
"""The largest number of threads for process jobs, each of which uses one at most."""


class Execution:
    """Executes claimed runs.

    Args:
        store: the database.
        registry: the functions.
        queues: the number of runs of each queue that this worker executes at once.
        wake: called from any thread when an attempt has ended.

    Attributes:
        in_flight: claims and attempts that have not ended.
        completions: attempts that have ended and are not written back.
        around: context managers to enter around each run.
        executors: where the functions run; they may be replaced before the first run starts.
        provided: what the application provides to runs.
        observer: what is told of each attempt, if anything is.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        queues: Mapping[str, int],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self.in_flight = InFlight(queues, store.clock)
        self.completions = Completions(store)
        self._wake = wake
        self._pending_starts: dict[int, set[HeldClaim]] = {}
        # Bound once for all runs.
        self._now, self._last_success = store.time.now, self._previous_success
        self._steady = store.clock.monotonic
        self.around: list[AroundRun] = []
        self.observer: Observer | None = None
        size = sum(queues.values())
        coroutines = EventLoopExecutor()
        functions = ThreadExecutor(size, coroutines=coroutines)
        apart = ThreadExecutor(MAX_APART, "duly-process-job", coroutines)
        self.executors = Executors(functions, coroutines, ProcessExecutor(size), apart)
        self.provided = Provided()
        self._captures_logs = False

    def start(self, claims: Sequence[Claim], reservation: Reservation) -> None:
        """Call the functions of claimed runs as soon as there are slots for them."""
        self.in_flight.add(claims, reservation)
        for queue in {claim.queue for claim in claims}:
            self._start_next(queue)

    def use_foreground(self, sign_off: Callable[[], None] | None) -> None:
        """Execute plain functions on the threads that call `execute`.

        Args:
            sign_off: the calls come from the main thread of a process that executes nothing else;
                this is called before it is killed to end a function.
        """
        coroutines = self.executors.coroutines
        if sign_off is None:
            self.executors.functions = ForegroundExecutor(coroutines)
        else:
            self.executors.functions = MainThreadExecutor(coroutines, sign_off)

    def admit(self, claim: Claim) -> Attempt:
        """Begin an attempt of a run that another system has chosen to execute here."""
        attempt = self._new_attempt(claim)
        self.in_flight.admit(attempt)
        return attempt

    def execute(self, attempt: Attempt) -> None:
        """Call the function of an admitted run, and return when it has ended."""
        ended = threading.Event()

        def done(attempt: Attempt, result: CallResult) -> None:
            self._finish(attempt, result)
            ended.set()

        if self._submit(attempt, done):
            ended.wait()

    def attempt_apart(
        self, claim: Claim, last_success: Callable[[RunFacts], datetime | None]
    ) -> Attempt:
        """Return a run of a process job: it takes no slot, and nothing is written back.

        Args:
            claim: what to execute; no row stands behind it.
            last_success: returns when the job last succeeded.
        """
        run = Run(claim, self._now, last_success, self.provided)
        attempt = Attempt(claim, run, self._steady, self.around)
        attempt.executor = self.executors.apart
        attempt.begin()
        return attempt

    def submit_apart(self, attempt: Attempt, done: Callable[[Attempt, CallResult], None]) -> None:
        """Call the function of a run of a process job.

        Args:
            attempt: see `attempt_apart`.
            done: called exactly once, from any thread, when the function has ended.
        """

        def ended(attempt: Attempt, result: CallResult) -> None:
            _end_span(attempt, result)
            done(attempt, result)

        try:
            self._bind(attempt)
            attempt.executor.submit(attempt, ended)
        except Exception as error:  # noqa: BLE001 - such as a thread that the system refuses
            ended(attempt, CallResult(error=CallError.of(error)))

    def claims(self) -> set[HeldClaim]:
        """Return what this worker holds: about to start, in flight, or not yet written back.

        The order matters: a claim that moves on meanwhile is found in its next place, read later.
        """
        pending = set[HeldClaim]().union(*map(tuple, list(self._pending_starts.values())))
        in_flight = {(claim.id, claim.claim_id) for claim in self.in_flight.claims()}
        return pending | in_flight | self.completions.claims()

    @contextmanager
    def pending_start(self) -> Iterator[set[HeldClaim]]:
        """Keep `return_strays` from claims that another thread commits and starts in the block.

        Add each of them to the set before it is committed.
        """
        pending: set[HeldClaim] = set()
        self._pending_starts[id(pending)] = pending
        try:
            yield pending
        finally:
            del self._pending_starts[id(pending)]

    def wait(self, limit: float) -> None:
        """Wait until nothing is in flight, or until the next deadline.

        Args:
            limit: the maximum number of seconds to wait.
        """
        deadline = self.next_deadline()
        left = limit if deadline is None else deadline - self._steady()
        self.wait_until_empty(max(0.0, min(left, limit)))

    def wait_until_empty(self, seconds: float) -> None:
        """Wait until nothing is in flight, for at most this time."""
        self.executors.wait(self.in_flight.empty, seconds)

    def next_deadline(self) -> float | None:
        """Return when an attempt must be stopped or abandoned next, on the steady clock."""
        moments = [
            attempt.stopping_since + PATIENCE if attempt.must_stop else attempt.deadline
            for attempt in self.in_flight.attempts()
            if not attempt.has_outlived_run and attempt.stop_reason != "given_back"
        ]
        return min((moment for moment in moments if moment is not None), default=None)

    def enforce_deadlines(self, worker_id: str) -> None:
        """Stop attempts that exceed their timeout, and abandon those that do not stop."""
        steady = self._steady()
        for attempt in self.in_flight.attempts():
            if attempt.deadline is not None and attempt.deadline <= steady:
                attempt.stop("timeout")
        self._abandon_stubborn(steady, worker_id)

    def cancel(self, run_ids: Sequence[str], worker_id: str) -> None:
        """Stop runs whose cancellation was requested."""
        requested = set(run_ids)
        for attempt in self.in_flight.attempts():
            if attempt.claim.id in requested:
                attempt.stop("cancelled")
        self._abandon_stubborn(self._steady(), worker_id)

    def interrupt_all(self) -> None:
        """Ask every attempt to stop because the worker stops; unfinished runs are given back."""
        self.give_back_waiting(0)
        for attempt in self.in_flight.attempts():
            attempt.stop("given_back")

    def abandon_all(self, worker_id: str) -> bool:
        """Give back the runs of all functions that have not ended, because the worker has stopped.

        Returns:
            Whether there are such functions, of this call or of an earlier one.
        """
        executing = [
            attempt
            for attempt in self.in_flight.attempts()
            if attempt.claim.worker_id == worker_id and attempt.phase is not Phase.LOST
        ]
        abandoned = [attempt for attempt in executing if attempt.phase < Phase.ABANDONED]
        if abandoned:
            self.completions.abandon(abandoned, worker_id)
        return bool(executing)

    def give_back_waiting(self, older_than: float) -> None:
        """Give back claims that have waited for a slot for this many seconds."""
        claims = self.in_flight.withdraw(self._steady() - older_than)
        for claim in claims:
            attempt = self._new_attempt(claim)
            attempt.stop_reason = "not_started"
            self.completions.add(attempt)
        if claims:
            self._wake()

    def lose_lease(self) -> None:
        """Interrupt every attempt and drop every outcome: nothing may be written any more."""
        self.in_flight.withdraw(math.inf)
        for attempt in self.in_flight.attempts():
            attempt.run.lease_lost = True
            attempt.interrupt()
            attempt.advance(Phase.LOST)
        self.completions.forget()

    def report_progress(self) -> None:
        """Store the progress and the log lines of running functions."""
        reports, lines, encoding = [], [], self._store.dialect.encoding
        reporting = [
            attempt
            for attempt in self.in_flight.attempts()
            if not attempt.has_outlived_run and not attempt.transactional
        ]
        for attempt in reporting:
            report = (attempt.run.reported, *attempt.run.counters.items())
            if report != attempt.last_report:
                attempt.last_report = report
                reports.append(_report(attempt, encoding))
            lines += log_rows(attempt, encoding)
        if reports or lines:
            reports.sort(key=itemgetter("run"))  # runs are locked in the order of their ids

            def report_all(tx: Transaction) -> None:
                completions.report_progress(tx.conn, reports)
                completions.add_log(tx.conn, lines)

            try:
                self._store.run(report_all)
            except REFUSALS as error:
                log.error("The database refused the reports of running functions: %s", error)
            for attempt in reporting:
                attempt.unsent.clear()

    def capture_logs(self) -> None:
        """Store the log lines of runs, until `stop`."""
        if not self._captures_logs:
            log_capture.install()
            self._captures_logs = True

    def stop(self) -> None:
        """Stop the executors and the capture of log lines."""
        if self._captures_logs:
            log_capture.remove()
            self._captures_logs = False
        self.executors.stop()

    def _start_next(self, queue: str) -> None:
        while attempt := self.in_flight.begin_next(queue, self._new_attempt):
            self._submit(attempt, self._done)

    def _submit(self, attempt: Attempt, done: Callable[[Attempt, CallResult], None]) -> bool:
        """Start a call; return whether that was possible: only then will ``done`` be called."""
        if self.observer is not None:
            self.observer.attempt_started(attempt.claim, self._now())
        try:
            self._bind(attempt)
            attempt.executor.submit(attempt, done)
        except Exception as error:  # noqa: BLE001 - no slot may be lost, whatever happens
            self._finish(attempt, CallResult(error=CallError.of(error)))
            return False
        return True

    def _new_attempt(self, claim: Claim) -> Attempt:
        run = Run(claim, self._now, self._last_success, self.provided)
        attempt = Attempt(claim, run, self._steady, self.around)
        attempt.executor = self.executors.functions
        return attempt

    def _bind(self, attempt: Attempt) -> None:
        """Give an attempt its span, its function, its arguments and its executor."""
        attempt.span = run_span(attempt.claim)
        task = self._registry.get(attempt.claim.task)
        attempt.function = task.function
        attempt.arguments = partial(
            stored_arguments, task.signature, attempt.claim.args, attempt.run
        )
        if task.transactional is not False:
            attempt.function = self._in_transaction(attempt, task)
        if task.executor == "process":
            attempt.executor = self.executors.processes
        elif task.is_async:
            attempt.executor = self.executors.coroutines

    @cached_property
    def _in_transaction(self) -> Callable[[Attempt, Task], Callable[..., Any]]:
        from duly.worker.transactional import Transactions  # noqa: PLC0415 - brings the ORM: 50 ms

        return Transactions(self._store).wrap

    def _done(self, attempt: Attempt, result: CallResult) -> None:
        self._finish(attempt, result)
        self._start_next(attempt.claim.queue)

    def _finish(self, attempt: Attempt, result: CallResult) -> None:
        attempt.result = result
        if self.observer is not None:
            self.observer.attempt_ended(attempt.claim, result)
        _end_span(attempt, result)
        if attempt.phase is not Phase.COMMITTED:
            self.completions.add(attempt)  # before it leaves `in_flight`: see `claims`
        self.in_flight.end(attempt, result.seconds)
        self._wake()

    def _abandon_stubborn(self, steady: float, worker_id: str) -> None:
        stubborn = [
            attempt
            for attempt in self.in_flight.attempts()
            if attempt.must_stop
            and attempt.phase < Phase.ABANDONED
            and (not attempt.executor.interruptible or attempt.stopping_since + PATIENCE <= steady)
        ]
        if stubborn:
            self.completions.abandon(stubborn, worker_id)

    def _previous_success(self, facts: RunFacts) -> Any:
        if facts.job_id is None:
            return None
        with self._store.read() as conn:
            return runs.previous_success(conn, facts.job_id, facts.id)


def _end_span(attempt: Attempt, result: CallResult) -> None:
    if attempt.span is None:
        return
    error = result.error
    failed = error is not None and error.kind not in ("snooze", "discard")
    ended = "returned" if error is None else error.kind
    attempt.span.end(ended, error.facts if error is not None and failed else None)


def _report(attempt: Attempt, encoding: str | None) -> dict[str, Any]:
    run = attempt.run
    progress = run.reported
    return {
        **attempt.claim.fence,
        "to_done": progress.done if progress else None,
        "to_total": progress.total if progress else None,
        "to_note": note_of(progress, encoding),
        "to_counters": payload.encode(dict(run.counters)) if run.counters else None,
    }
