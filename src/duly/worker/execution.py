"""Execution: from a claim to a call, and the stop signals while it runs."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from operator import itemgetter
from typing import Any

from duly.context import Run, RunFacts
from duly.errors import ArgumentsChanged, ArgumentsError
from duly.executors.base import CallResult, Work
from duly.executors.event_loop import EventLoopExecutor
from duly.executors.log_capture import run_log_handler
from duly.executors.process import ProcessExecutor
from duly.executors.thread import ThreadExecutor
from duly.hooks import AroundRun
from duly.model import payload
from duly.registry import Registry, Task
from duly.store import completions, runs
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim
from duly.worker.completion import Completions
from duly.worker.ending_rows import log_rows
from duly.worker.in_flight import Attempt, InFlight

log = logging.getLogger("duly.worker")
PATIENCE = 5.0
"""Seconds that an interrupted coroutine has to end before its run is ended without it."""


class Execution:
    """Executes claims.

    Args:
        store: the database.
        registry: the functions.
        queues: the number of runs of each queue that this worker executes at once.
        wake: called from any thread when something has ended.

    Attributes:
        in_flight: what was claimed and has not ended.
        completions: what has ended and is not written back.
        around: context managers to enter around each run.
        coroutines: executes coroutines.
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
        self.in_flight = InFlight(queues)
        self.completions = Completions(store)
        self._captures_logs = False
        self._wake = wake
        self._pending_starts: dict[int, set[tuple[str, str]]] = {}
        self._now, self._asked = store.time.now, self._previous_success  # bound once for all runs
        self.around: list[AroundRun] = []
        self.coroutines = EventLoopExecutor()
        self._threads = ThreadExecutor(sum(queues.values()))
        self._processes = ProcessExecutor(sum(queues.values()))

    def start(self, claims: Sequence[Claim]) -> None:
        """Start the functions of claimed runs."""
        self.in_flight.add([self._attempt(claim) for claim in claims])
        for queue in {claim.queue for claim in claims}:
            self._start_waiting(queue)

    def claims(self) -> set[tuple[str, str]]:
        """The runs that this worker holds, each with its claim.

        What starts or ends meanwhile is found where it comes to, since that is looked at later.
        """
        pending = {
            claim for claims in list(self._pending_starts.values()) for claim in tuple(claims)
        }
        flying = {(attempt.claim.id, attempt.claim.claim_id) for attempt in self.in_flight.all()}
        return pending | flying | self.completions.claims()

    @contextmanager
    def expecting(self) -> Iterator[set[tuple[str, str]]]:
        """Claims that a thread beside the loop's commits and starts in this block: no strays.

        Put each into the set, as `claims` has them, before it is committed.
        """
        pending_start: set[tuple[str, str]] = set()
        self._pending_starts[id(pending_start)] = pending_start
        try:
            yield pending_start
        finally:
            del self._pending_starts[id(pending_start)]

    @property
    def any_live(self) -> bool:
        """Whether anything is in flight whose run has not been ended without its function."""
        return any(not attempt.abandoned for attempt in self.in_flight.all())

    def wait(self, longest: float) -> None:
        """Wait until nothing is in flight, or the next deadline has come.

        Args:
            longest: seconds after which to return in any case.
        """
        deadline = self.next_deadline()
        left = longest if deadline is None else deadline - self._store.clock.monotonic()
        self.in_flight.empty.wait(max(0.0, min(left, longest)))

    def next_deadline(self) -> float | None:
        """The earliest deadline on the steady clock."""
        waiting = [
            f.deadline if f.stop_reason is None else f.stopping_since + PATIENCE
            for f in self.in_flight.all()
            if not f.abandoned and f.stop_reason != "given_back"
        ]
        return min((moment for moment in waiting if moment is not None), default=None)

    def enforce_deadlines(self, worker_id: str) -> None:
        """Stop what has taken too long; end the runs of what does not stop."""
        steady = self._store.clock.monotonic()
        overdue = [
            attempt
            for attempt in self.in_flight.all()
            if attempt.deadline is not None
            and attempt.deadline <= steady
            and attempt.stop_reason is None
        ]
        for attempt in overdue:
            attempt.stop_reason, attempt.stopping_since = "timeout", steady
            self._interrupt(attempt)
        self._abandon_stubborn(steady, worker_id)

    def cancel(self, run_ids: Sequence[str], worker_id: str) -> None:
        """Stop runs that somebody asked to cancel."""
        steady = self._store.clock.monotonic()
        wanted = set(run_ids)
        for attempt in self.in_flight.all():
            if (
                attempt.claim.id in wanted
                and attempt.stop_reason is None
                and attempt.begun_at is not None
            ):
                attempt.stop_reason, attempt.stopping_since = "cancelled", steady
                self._interrupt(attempt)
        self._abandon_stubborn(steady, worker_id)

    def interrupt_all(self) -> None:
        """Ask everything to end because this worker stops: what does not finish is given back."""
        for attempt in self.in_flight.all():
            if attempt.stop_reason is None:
                attempt.stop_reason = "given_back"
                self._interrupt(attempt)

    def give_back_waiting(self, older_than: float) -> None:
        """Return what was claimed ahead so many seconds ago and has not started."""
        in_flight = self.in_flight.withdraw(self._store.clock.monotonic() - older_than)
        for attempt in in_flight:
            attempt.stop_reason = "given_back"
            self.completions.add(attempt, CallResult(error=asyncio.CancelledError()))
        if in_flight:
            self._wake()

    def lose_lease(self) -> None:
        """Tell everything on its way that it works in vain."""
        self.in_flight.withdraw(math.inf)
        for attempt in self.in_flight.all():
            attempt.work.run.lease_lost = True
            self._interrupt(attempt)
            attempt.abandoned = attempt.lost = True
        self.completions.forget()

    def report_progress(self) -> None:
        """Store how far running functions say they are, and what they have logged."""
        reports, lines, told = [], [], []
        for attempt in self.in_flight.all():
            run = attempt.work.run
            if attempt.abandoned or attempt.begun_at is None or attempt.transactional:
                continue
            told.append(attempt)
            state = (run.reported, *run.counters.items())
            if state != attempt.told:
                attempt.told = state
                reports.append(_report(attempt))
            lines += log_rows(attempt)
        if reports or lines:
            reports.sort(key=itemgetter("run"))  # runs are locked in the order of their ids

            def report(tx: Transaction) -> None:
                completions.report_progress(tx.conn, reports)
                completions.add_log(tx.conn, lines)

            self._store.run(report)
            for attempt in told:
                attempt.unsent.clear()

    def capture_logs(self) -> None:
        """Store what runs log, until `stop`."""
        if not self._captures_logs:
            run_log_handler.install()
            self._captures_logs = True

    def stop(self) -> None:
        """Stop the executors, and no longer store what runs log."""
        if self._captures_logs:
            run_log_handler.remove()
            self._captures_logs = False
        self._threads.stop()
        self._processes.stop()
        self.coroutines.stop()

    def _attempt(self, claim: Claim) -> Attempt:
        run = Run(claim, self._now, self._asked)
        work = Work(_nothing, {}, run, self._store.clock.monotonic, self.around)
        return Attempt(claim, work, self._threads, self._store.clock.monotonic())

    @cached_property
    def _in_transaction(self) -> Callable[[Attempt, Task], Callable[..., Any]]:
        from duly.worker.transactional import Transactions  # noqa: PLC0415 - brings the ORM: 50 ms

        return Transactions(self._store).wrap

    def _start_waiting(self, queue: str) -> None:
        while attempt := self.in_flight.next(queue, self._store.clock.monotonic()):
            try:
                self._bind(attempt)
                attempt.executor.submit(attempt.work, self._done)
            except Exception as error:  # noqa: BLE001 - no place may be lost, whatever happens
                self._finish(attempt.work, CallResult(error=error))

    def _bind(self, attempt: Attempt) -> None:
        task = self._registry.get(attempt.claim.task)
        arguments = _arguments(task, attempt.claim.args)
        for name in task.signature.injected:
            arguments[name] = attempt.work.run
        attempt.work.function, attempt.work.arguments = task.function, arguments
        if task.transactional is not False:
            attempt.work.function = self._in_transaction(attempt, task)
        attempt.work.text = attempt.claim.args
        if task.executor == "process":
            attempt.executor = self._processes
        else:
            attempt.executor = self.coroutines if task.is_async else self._threads

    def _done(self, work: Work, result: CallResult) -> None:
        self._start_waiting(self._finish(work, result).claim.queue)

    def _finish(self, work: Work, result: CallResult) -> Attempt:
        attempt = self.in_flight.of(work)
        if not attempt.committed:
            self.completions.add(attempt, result)  # before it leaves the in_flight: see `claims`
        self.in_flight.end(work, result.seconds)
        self._wake()
        return attempt

    def _interrupt(self, attempt: Attempt) -> None:
        attempt.work.run.request_stop()
        attempt.executor.interrupt(attempt.work)

    def _abandon_stubborn(self, steady: float, worker_id: str) -> None:
        stubborn = [
            attempt
            for attempt in self.in_flight.all()
            if attempt.stop_reason in ("timeout", "cancelled")
            and not attempt.abandoned
            and (not attempt.executor.interruptible or attempt.stopping_since + PATIENCE <= steady)
        ]
        if stubborn:
            self.completions.abandon(stubborn, worker_id)

    def _previous_success(self, facts: RunFacts) -> Any:
        if facts.job_id is None:
            return None
        with self._store.read() as conn:
            return runs.previous_success(conn, facts.job_id, facts.id)


def _report(attempt: Attempt) -> dict[str, Any]:
    run = attempt.work.run
    progress = run.reported
    return {
        **attempt.claim.fence,
        "to_done": progress.done if progress else None,
        "to_total": progress.total if progress else None,
        "to_note": progress.note if progress else None,
        "to_counters": payload.encode(dict(run.counters)) if run.counters else None,
    }


def _arguments(task: Task, text: str) -> dict[str, Any]:
    try:
        return task.signature.decode(text)
    except ArgumentsError as error:
        raise ArgumentsChanged(f"{error} (stored before the function was changed?)") from error


def _nothing() -> None:
    """Stands in until the task's own function is bound."""
