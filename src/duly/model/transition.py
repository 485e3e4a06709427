"""Named transitions: every way in which a run changes state, and the columns that each changes.

A constructor (`succeed`, `fail`, `retry_at`, …) returns a `Transition`. `Transition.columns`
computes the new values of a run's row; `duly.store.transitions` writes them, and also promotes and
claims runs, many at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from duly.errors import StateError
from duly.model.policy import QUARANTINE_AFTER, RunPolicy, decode_run_policy
from duly.model.run import LIVE, TERMINAL, RunState, check_move

ErrorFacts = tuple[str, str, str | None]
"""An error's type, its message and its traceback, if there is one."""

Release = Literal["reported", "abandoned", "crashed", "withdrawn"]
"""How a running run leaves its worker.

``reported``: its function has ended, as reported by the worker that claimed it. ``abandoned``: its
function has not stopped and is still executing, so that its slot stays occupied. ``crashed``: its
worker died. ``withdrawn``: its worker is stopping, or never learned of the claim. In all cases but
the first the token is incremented, so that code that is still executing cannot write to the run.
"""


class RunSnapshot(NamedTuple):
    """A run as it was read: the columns that a transition depends on.

    Attributes:
        task: the name of its task.
        queue: its queue.
        worker_id: the worker that is executing it, or executed it last.
        unique_key: the unique key that it holds.
        retaken_key: the unique key that it takes again when it becomes unstarted or starts over. A
            key that ends with the start is given up for good by the first start.
    """

    id: str
    job_id: str | None
    task: str
    queue: str
    state: RunState
    token: int
    claim_id: str | None
    worker_id: str | None
    attempt: int
    crashes: int
    due_at: datetime
    started_at: datetime | None
    unique_key: str | None
    retaken_key: str | None
    policy: RunPolicy

    @classmethod
    def of(cls, row: Any) -> Self:
        """Create a snapshot from a row of the run table."""
        return cls(
            row.id, row.job_id, row.task, row.queue, row.state, row.token, row.claim_id,
            row.worker_id, row.attempt, row.crashes, row.due_at, row.started_at, row.unique_key,
            row.retaken_key, decode_run_policy(row.policy),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a run's state, which has not been written yet.

    Attributes:
        to: the new state.
        event: the kind of event that records the transition.
        reason: the reason, for the run's history.
        due_at: when the run may start next; ``None``: unchanged, so that a run that is given back
            keeps its place in its queue; after a crash, now.
        result: the function's return value, as JSON text.
        error: the error of the attempt, which is stored as an unsuccessful one.
        uncounted: whether the attempt does not count towards the limit of attempts.
        unstarted: whether the function was not called, so that `expires` still applies.
        revives: whether a run that has ended starts over.
        waits_for_slot: whether a revived run waits until an earlier run of its job has ended.
        postpones: whether a run that is ready waits for a later time.
        keeps_error: whether the error of an earlier attempt stays visible.
        release: how the run leaves the worker that is executing it, if there is one.
    """

    to: RunState
    event: str
    reason: str | None = None
    due_at: datetime | None = None
    result: str | None = None
    error: ErrorFacts | None = None
    uncounted: bool = False
    unstarted: bool = False
    revives: bool = False
    waits_for_slot: bool = False
    postpones: bool = False
    keeps_error: bool = False
    release: Release = "reported"

    def columns(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        """Return the columns that the transition changes, with their new values.

        Raises:
            StateError: the transition does not apply to a run in this state.
        """
        check_move(run.id, run.state, self.to)
        if run.state == "running" and not (self.revives or self.postpones):
            return self._leave_worker(run, now)
        if self.to in TERMINAL:
            return self._end_without_running(run, now)
        if self.revives and run.state in TERMINAL:
            return self._start_over(run, now)
        if self.postpones and run.state == "ready":
            return {"state": self.to, "due_at": self.due_at, "occupied": False}
        raise StateError(f"run {run.id} is {run.state}; {self.event} does not apply to it")

    def retakes_key(self, run: RunSnapshot) -> bool:
        """Return whether the run takes a unique key that its claim has released."""
        released = run.retaken_key is not None and run.unique_key is None
        return released and self.unstarted and self.to not in TERMINAL

    def abandoned(self) -> Transition:
        """Return this transition for a run whose function cannot be stopped."""
        return replace(self, release="abandoned")

    def withdrawn(self) -> Transition:
        """Return this transition for a run that is taken back from its worker."""
        return replace(self, release="withdrawn")

    def crashed(self, why: str) -> Transition:
        """Return this transition for a run whose worker died.

        Args:
            why: what happened to the worker, as the message of the attempt's error.
        """
        return replace(self, release="crashed", error=("WorkerLost", why, None))

    def _leave_worker(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        ends = self.to in TERMINAL
        abandoned = self.release == "abandoned"
        rescued = self.release == "crashed" and not ends
        key = run.retaken_key if self.unstarted else run.unique_key
        values: dict[str, Any] = {
            "state": self.to,
            "token": run.token if self.release == "reported" else run.token + 1,
            "attempt": max(0, run.attempt - self.uncounted),
            "due_at": self.due_at or (now if rescued else run.due_at),
            "finished_at": now if ends else None,
            "keep_until": run.policy.keep_until(self.to, now) if ends else None,
            "worker_id": run.worker_id if ends or abandoned else None,
            "cancel_requested": False,
            "unique_key": None if ends else key,
            "retaken_key": key,
            "reason": self.reason,
        }
        if self.unstarted:
            values["started_at"] = None
        elif not ends:
            values["expires_at"] = None
        if not self.keeps_error:
            error = self.error or (None, None)
            values["error_type"], values["error_message"] = error[:2]
        if self.release == "crashed":
            values["crashes"] = run.crashes + 1
            values["quarantined"] = run.crashes + 1 >= QUARANTINE_AFTER
        elif self.release != "withdrawn":
            values["occupied"], values["result"] = abandoned, self.result
        return values

    def _end_without_running(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        """Return the columns of a run that is not running; a failed one keeps ``finished_at``."""
        keep_until = run.policy.keep_until(self.to, now)
        values: dict[str, Any] = {
            "state": self.to, "reason": self.reason, "keep_until": keep_until
        }  # fmt: skip
        if run.state in LIVE:
            values |= {"finished_at": now, "unique_key": None}
        if run.state == "ready":  # it may have been handed off
            values["occupied"] = False
        return values

    def _start_over(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        return {
            "state": self.to, "waits_for_slot": self.waits_for_slot, "due_at": now,
            "max_attempts": run.attempt + run.policy.max_attempts, "crashes": 0,
            "quarantined": False, "worker_id": None, "started_at": None, "finished_at": None,
            "keep_until": None, "expires_at": None, "cancel_requested": False,
            "reason": self.reason, "error_type": None, "error_message": None,
        }  # fmt: skip


def succeed(result: str | None = None) -> Transition:
    """Finish a run whose function has returned.

    Args:
        result: the return value, as JSON text; ``None`` if it is ``None``.
    """
    return Transition("succeeded", "run.succeeded", result=result)


def fail(error: ErrorFacts) -> Transition:
    """Fail a run whose last attempt was unsuccessful: it becomes a dead letter."""
    return Transition("failed", "run.failed", error=error)


def retry_at(moment: datetime, error: ErrorFacts) -> Transition:
    """Schedule another attempt at ``moment`` after an unsuccessful one."""
    return Transition("scheduled", "run.retried", due_at=moment, error=error)


def snooze(until: datetime) -> Transition:
    """Postpone a run at its function's request; the attempt does not count."""
    return Transition("scheduled", "run.snoozed", "snoozed", until, uncounted=True)


def postpone(until: datetime) -> Transition:
    """Let a run that is ready wait for a later time; it keeps everything else."""
    return Transition("scheduled", "run.rescheduled", due_at=until, postpones=True)


def give_back(reason: str, *, unstarted: bool = False) -> Transition:
    """Make a run ready again, as it was before it was claimed; the attempt does not count.

    Args:
        reason: why its worker does not execute it, or not to its end.
        unstarted: whether its function was not called.
    """
    return Transition(
        "ready", "run.given_back", reason, uncounted=True, keeps_error=True, unstarted=unstarted
    )


def hand_off(executor: str) -> Transition:
    """Leave a run that was just claimed to another executor, which will start it.

    It stays ready, and keeps the place that the claim has taken in the limits.

    Args:
        executor: the executor's name.
    """
    reason = f"handed to the executor {executor!r}"
    return replace(give_back(reason, unstarted=True), event="run.handed_off").withdrawn()


def give_back_executing(reason: str) -> Transition:
    """Give back a run whose function is still executing: it starts again once that has ended.

    Args:
        reason: why its worker does not wait for the end of the function.
    """
    return replace(give_back(reason), to="scheduled", release="abandoned")


def rescue(why: str) -> Transition:
    """Make a run ready again whose worker died.

    Args:
        why: what happened to the worker.
    """
    return Transition("ready", "run.retried", why).crashed(why)


def discard(reason: str) -> Transition:
    """Give up a run for good: at its function's request, or manually after it has failed."""
    return Transition("discarded", "run.discarded", reason)


def cancel(reason: str) -> Transition:
    """Cancel a run, before it starts or while it is running."""
    return Transition("cancelled", "run.cancelled", reason)


def miss(reason: str) -> Transition:
    """Record a run as missed: its time passed before it could start."""
    return Transition("missed", "run.missed", reason)


def skip(reason: str) -> Transition:
    """Record a run as skipped: a policy or a dependency does not allow it to run."""
    return Transition("skipped", "run.skipped", reason)


def revive(*, waits_for_slot: bool = False) -> Transition:
    """Start a finished run over, with as many attempts as it had at first.

    Args:
        waits_for_slot: whether it first waits until an earlier run of its job has ended.
    """
    to: RunState = "scheduled" if waits_for_slot else "ready"
    return Transition(to, "run.revived", revives=True, waits_for_slot=waits_for_slot)


SUCCESS = succeed()
"""The transition of a run whose function returned ``None``, as most do."""
