"""Process jobs: jobs with ``scope="process"``, which each process executes for itself.

They exist in code only. No row is written when one fires, so nothing of them is fenced, rescued or
given back, and they need no database: a thread of their own fires them, which neither the loop nor
an outage delays. What they have done is reported with the worker's heartbeat. See decision 0028.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from duly.decisions.policy import decide_due, first_fire, jittered
from duly.executors.base import CallResult
from duly.model.identity import new_id
from duly.model.policy import JobOptions
from duly.model.run import Cause
from duly.model.text import safe_str
from duly.model.transition import ErrorFacts, fail
from duly.model.worker import ProcessJobRecord, encode_reports
from duly.store.store import Store
from duly.triggers import Trigger
from duly.worker.attempt import Attempt, Phase
from duly.worker.claims.claim import Claim
from duly.worker.execution import Execution
from duly.worker.outcome import decide_outcome
from duly.worker.run_logging import log_failure

log = logging.getLogger("duly.worker")
MAX_WAIT = 60.0
"""Seconds after which the thread looks again, because a clock may have been set."""

MAX_ERROR = 500
MAX_TRIGGER = 200
JOIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ProcessJob:
    """A job that each process executes for itself, as code declares it.

    Attributes:
        id: the job's id.
        task: the name of its task.
        trigger: the trigger as given; each process binds it when it first sees the job.
        args: the validated arguments, as JSON text.
        options: the options that apply to it.
        zone: the time zone of a trigger that does not name one.
    """

    id: str
    task: str
    trigger: Trigger
    args: str
    options: JobOptions
    zone: str


class Pending(NamedTuple):
    """A run that starts when its jitter has passed."""

    nominal: datetime
    start_at: datetime
    cause: Cause


class _State:
    """One process job in this process.

    Attributes:
        job: its declaration.
        trigger: its trigger, bound.
        cursor: the next nominal time that has not been decided; ``None``: there is none.
        pending: the run that starts next.
        attempt: the run that is executing, even if its time is up.
        last_success: when its last successful run ended.
        record: what is reported; replaced as a whole, so that any thread may read it.
    """

    def __init__(self, job: ProcessJob) -> None:
        self.job = job
        self.trigger = job.trigger
        self.cursor: datetime | None = None
        self.pending: Pending | None = None
        self.attempt: Attempt | None = None
        self.last_success: datetime | None = None
        self.record = ProcessJobRecord(job.id, job.task, "")

    def bind(self, now: datetime) -> None:
        """Bind the trigger: intervals count from now."""
        job = self.job
        self.trigger = job.trigger.bind(job_id=job.id, tz=job.zone, anchor=now, calendars={})
        self.cursor = first_fire(self.trigger, job.options, now)
        self.change(trigger=self.trigger.describe()[:MAX_TRIGGER], next_at=self.cursor)

    def change(self, **values: Any) -> None:
        """Replace fields of the record."""
        self.record = self.record.replace(**values)


class ProcessJobs:
    """The process jobs of one worker.

    They begin with the first step of a started worker, whatever becomes of it, and continue while
    the database does not answer; or with the caller's steps. They obey the switch of the scheduler
    as the worker has last read it.

    Args:
        store: whose time they follow.
        execution: calls their functions.
        jobs: what code declares, by id; it may grow.

    Attributes:
        empty: set while no function is executing.
    """

    def __init__(self, store: Store, execution: Execution, jobs: Mapping[str, ProcessJob]) -> None:
        self._time = store.time
        self._clock = store.clock
        self._execution = execution
        self._jobs = jobs
        self._states: dict[str, _State] = {}
        self._key = new_id()
        # One thread computes times, which may take long. Functions end on other threads, such as
        # the application's event loop, which must not wait for that: they take the other lock.
        self._stepping = threading.Lock()
        self._lock = threading.RLock()
        self._event = threading.Event()
        self._thread: threading.Thread | None = None
        self._began: set[str] = set()
        self._latest: datetime | None = None
        self._stopped = False
        self._draining = False
        self.empty = threading.Event()
        self.empty.set()

    @property
    def threaded(self) -> bool:
        """Whether they have a thread; else `step` is called by the worker's step."""
        return self._thread is not None

    @property
    def busy(self) -> bool:
        """Whether any function is executing whose result still counts."""
        return any(not attempt.has_outlived_run for attempt in self._attempts())

    def executes(self, run_id: str) -> bool:
        """Return whether this run of a process job is executing."""
        return any(attempt.claim.id == run_id for attempt in self._attempts())

    def records(self) -> list[ProcessJobRecord]:
        """Return what this process has done, in the order of the jobs' ids."""
        records = [state.record for state in list(self._states.values())]
        return sorted(records, key=lambda each: each.id)

    def report(self) -> str | None:
        """Return what the heartbeat stores; ``None`` if code declares no process job."""
        return encode_reports(self.records()) if self._jobs else None

    def start(self) -> None:
        """Start the thread, unless it runs or there is nothing to do; called by each step."""
        if not self._jobs or self._draining:
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._serve, name="duly-process-jobs", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Look at the declarations now."""
        self._event.set()

    def switch(self, *, stopped: bool) -> None:
        """Obey the switch of the scheduler: while it is switched off, nothing starts."""
        if stopped != self._stopped:
            self._stopped = stopped
            self._event.set()

    def step(self) -> datetime | None:
        """Enforce time limits, and start what is due; return when something is due next."""
        with self._stepping:
            self.enforce_deadlines()
            now = self._time.now()
            went_back = self._latest is not None and now < self._latest
            self._latest = now
            for job in list(self._jobs.values()):
                state = self._state_of(job)
                try:
                    self._step(state, now, went_back=went_back)
                except Exception as error:
                    log.exception("Process job %r cannot fire.", job.id)
                    self._give_up(state, error)
            return self._next_due()

    def next_deadline(self) -> float | None:
        """Return when a run exceeds its timeout next, on the steady clock."""
        moments = [
            attempt.deadline
            for attempt in self._attempts()
            if attempt.deadline is not None and not attempt.has_outlived_run
        ]
        return min(moments, default=None)

    def enforce_deadlines(self) -> None:
        """Stop runs that exceed their timeout; they have failed, even if they do not stop."""
        steady = self._clock.monotonic()
        for attempt in self._attempts():
            if attempt.deadline is not None and attempt.deadline <= steady:
                attempt.stop("timeout")
                limit = attempt.claim.policy.timeout or 0.0
                self._note(attempt, CallResult(seconds=limit))

    def drain(self) -> None:
        """Start nothing any more."""
        self._draining = True
        self._event.set()

    def interrupt(self) -> None:
        """Ask the functions that are executing to stop."""
        for attempt in self._attempts():
            attempt.stop("given_back")

    def stop(self) -> None:
        """End the thread; functions that are still executing are interrupted and left alone."""
        self.drain()
        self.interrupt()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=JOIN_SECONDS)
        self._began.clear()
        self._draining = False

    def _attempts(self) -> list[Attempt]:
        states = list(self._states.values())
        return [attempt for state in states if (attempt := state.attempt) is not None]

    def _serve(self) -> None:
        thread = threading.current_thread()
        while self._thread is thread:
            self._event.clear()
            due = self.step()
            wait = MAX_WAIT if due is None else (due - self._time.now()).total_seconds()
            deadline = self.next_deadline()
            if deadline is not None:
                wait = min(wait, deadline - self._clock.monotonic())
            if wait > 0 and not self._draining:
                self._clock.wait(self._event, min(wait, MAX_WAIT))

    def _state_of(self, job: ProcessJob) -> _State:
        """Return the state of a job; a new one if it is new here, or was defined again."""
        with self._lock:
            state = self._states.get(job.id)
            if state is None or state.job is not job:
                former, state = state, _State(job)
                if former is not None:
                    state.attempt = former.attempt  # with which the next run must not overlap
                self._states[job.id] = state
            return state

    def _step(self, state: _State, now: datetime, *, went_back: bool) -> None:
        job = state.job
        if not state.record.trigger:
            state.bind(now)
        elif went_back and state.cursor is not None:  # the clock was set; it may be far away
            state.cursor, state.pending = first_fire(state.trigger, job.options, now), None
        if self._stopped or self._draining:
            return
        if self.threaded and job.id not in self._began:
            self._began.add(job.id)
            if job.options.at_start:
                state.pending = Pending(now, now, "start")
        if state.cursor is not None and state.cursor <= now:
            self._decide(state, state.cursor, now)
        if state.pending is not None and state.pending.start_at <= now:
            pending, state.pending = state.pending, None
            self._begin(state, pending, now)

    def _decide(self, state: _State, cursor: datetime, now: datetime) -> None:
        job = state.job
        decision = decide_due(state.trigger, job.options, cursor=cursor, fired=0, now=now)
        state.cursor = decision.next_fire_at
        for nominal, cause in decision.run:
            key = f"{self._key}/{job.id}"  # so that the processes do not start together
            start_at = jittered(nominal, state.cursor, job.options, key)
            state.pending = Pending(nominal, start_at, cause)
        skipped = sum(missed.count for missed in decision.missed)
        with self._lock:
            state.change(next_at=state.cursor, skipped=state.record.skipped + skipped)

    def _begin(self, state: _State, pending: Pending, now: datetime) -> None:
        """Start a run, unless an earlier one is still executing."""
        job = state.job
        with self._lock:
            if state.attempt is not None:
                state.change(skipped=state.record.skipped + 1)
                return
            self.empty.clear()
            state.change(running_since=now)
            claim = Claim(
                id=new_id(), job_id=job.id, task=job.task, args=job.args,
                scheduled_for=None if pending.cause == "start" else pending.nominal,
                due_at=pending.nominal, cause=pending.cause, queue="", attempt=1, max_attempts=1,
                crashes=0, quarantined=False, started_at=now, token=0, claim_id="",
                unique_key=None, retaken_key=None, policy=job.options.run_policy,
            )  # fmt: skip
            state.attempt = self._execution.attempt_apart(claim, lambda _: state.last_success)
        self._execution.submit_apart(state.attempt, self._done)

    def _done(self, attempt: Attempt, result: CallResult) -> None:
        """Note how a run has ended; called on the thread of its function."""
        self._note(attempt, result)
        with self._lock:
            for state in self._states.values():
                if state.attempt is attempt:
                    state.attempt = None
                    state.change(running_since=None)
            if not self._attempts():
                self.empty.set()
        self._event.set()

    def _note(self, attempt: Attempt, result: CallResult) -> None:
        """Report and log the outcome of a run, unless that has been done at its timeout."""
        now = self._time.now()
        transition = decide_outcome(attempt.claim, result, attempt.stop_reason, now)
        if transition.to not in ("succeeded", "failed", "ready") and result.error is not None:
            transition = fail(result.error.facts)  # there is nothing to postpone or to discard
        with self._lock:
            state = self._states[attempt.claim.job_id or ""]
            if attempt.has_outlived_run or state.attempt is not attempt:
                return
            attempt.advance(Phase.ABANDONED)
            if transition.to == "ready":  # it was interrupted by the stop of the worker
                return
            if transition.to == "succeeded":
                state.last_success = now
            self._report(state, attempt.claim, transition.error, result.seconds)
        log_failure(attempt.claim, transition)

    def _report(
        self, state: _State, claim: Claim, error: ErrorFacts | None, seconds: float
    ) -> None:
        before = state.record
        state.change(
            last_at=claim.started_at,
            last_outcome="failed" if error else "succeeded",
            last_seconds=round(seconds, 3),
            error=f"{error[0]}: {error[1]}"[:MAX_ERROR] if error else None,
            runs=before.runs + 1,
            failures=before.failures + 1 if error else 0,
        )

    def _give_up(self, state: _State, error: Exception) -> None:
        """Report a job whose next time cannot be computed."""
        text = f"{type(error).__name__}: {safe_str(error, MAX_ERROR)}"[:MAX_ERROR]
        state.cursor = state.pending = None
        with self._lock:
            trigger = state.record.trigger or "unknown"
            state.change(trigger=trigger, next_at=None, last_outcome="failed", error=text)

    def _next_due(self) -> datetime | None:
        if self._stopped or self._draining:
            return None
        states = list(self._states.values())
        moments = [state.pending.start_at for state in states if state.pending is not None]
        moments += [state.cursor for state in states if state.cursor is not None]
        return min(moments, default=None)
