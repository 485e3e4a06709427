"""Every way in which a run changes state, by name, and the columns that each way writes.

A constructor (`succeed`, `fail`, `retry_at`, …) returns a `Transition`: what is to become of a run.
`Transition.columns` works out what the run's row must hold then; `duly.store.transitions` writes it
and also does what concerns runs in sets: promoting them and claiming them.
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

``reported``: its function has ended, and the worker that claimed it says so. ``abandoned``: its
function cannot be stopped and still executes, so that its slot stays occupied. ``crashed``: its
worker died. ``withdrawn``: its worker stops, or never learned of the claim. In all cases but the
first the token rises, so that nothing that still executes can write to the run.
"""


class RunSnapshot(NamedTuple):
    """A run as it was read: what a transition depends on, and what must still be true of the row.

    Attributes:
        worker_id: the worker that executes it, or executed it last.
        unique_key: the unique key that it holds.
    """

    id: str
    job_id: str | None
    state: RunState
    token: int
    claim_id: str | None
    worker_id: str | None
    attempt: int
    crashes: int
    due_at: datetime
    started_at: datetime | None
    unique_key: str | None
    policy: RunPolicy

    @classmethod
    def of(cls, row: Any) -> Self:
        """Take the snapshot from a row of the run table."""
        return cls(
            row.id, row.job_id, row.state, row.token, row.claim_id, row.worker_id, row.attempt,
            row.crashes, row.due_at, row.started_at, row.unique_key, decode_run_policy(row.policy),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transition:
    """What is to become of a run.

    Attributes:
        to: its next state.
        event: the kind of event that records the transition.
        reason: why, for the run's history.
        due_at: when the run may start next; ``None``: at once where it becomes ready, otherwise
            as before.
        result: what its function returned, as JSON text.
        error: what made the attempt fail; it is stored as an unsuccessful attempt.
        uncounted: whether the attempt does not count towards the limit of attempts.
        waits_for_slot: whether a revived run waits until an earlier run of its job has ended.
        release: how the run leaves its worker, if one executes it.
    """

    to: RunState
    event: str
    reason: str | None = None
    due_at: datetime | None = None
    result: str | None = None
    error: ErrorFacts | None = None
    uncounted: bool = False
    waits_for_slot: bool = False
    release: Release = "reported"

    def columns(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        """Return the columns that the transition changes, with their new values.

        Raises:
            StateError: the transition does not apply to a run in this state.
        """
        check_move(run.id, run.state, self.to)
        revives = self.event == "run.revived"
        if run.state == "running" and not revives:
            return self._leave_worker(run, now)
        if self.to in TERMINAL:
            return self._end_without_running(run, now)
        if revives and run.state in TERMINAL:
            return self._start_over(run, now)
        raise StateError(f"run {run.id} is {run.state}; {self.event} does not apply to it")

    def abandoned(self) -> Transition:
        """Return this transition for a run whose function cannot be stopped."""
        return replace(self, release="abandoned")

    def withdrawn(self) -> Transition:
        """Return this transition for a run that is taken back from its worker."""
        return replace(self, release="withdrawn")

    def crashed(self, why: str) -> Transition:
        """Return this transition for a run whose worker died.

        Args:
            why: what happened to the worker; it becomes the message of the attempt's error.
        """
        return replace(self, release="crashed", error=("WorkerLost", why, None))

    def _leave_worker(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        ends = self.to in TERMINAL
        abandoned = self.release == "abandoned"
        values: dict[str, Any] = {
            "state": self.to,
            "token": run.token if self.release == "reported" else run.token + 1,
            "attempt": max(0, run.attempt - self.uncounted),
            "due_at": self.due_at or (now if self.to == "ready" else run.due_at),
            "finished_at": now if ends else None,
            "keep_until": run.policy.keep_until(self.to, now) if ends else None,
            "worker_id": run.worker_id if ends or abandoned else None,
            "cancel_requested": False,
            "unique_key": None if ends else run.unique_key,
            "reason": self.reason,
        }
        if self.event != "run.given_back":  # what an earlier attempt failed with stays visible
            error = self.error or (None, None)
            values["error_type"], values["error_message"] = error[:2]
        if self.release == "crashed":
            values["crashes"] = run.crashes + 1
            values["quarantined"] = run.crashes + 1 >= QUARANTINE_AFTER
        elif self.release != "withdrawn":
            values["occupied"], values["result"] = abandoned, self.result
        return values

    def _end_without_running(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        """A run that failed keeps the instant at which it ended: only its record is closed."""
        keep_until = run.policy.keep_until(self.to, now)
        values = {"state": self.to, "reason": self.reason, "keep_until": keep_until}
        if run.state in LIVE:
            values |= {"finished_at": now, "unique_key": None}
        return values

    def _start_over(self, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        return {
            "state": self.to, "waits_for_slot": self.waits_for_slot, "due_at": now,
            "max_attempts": run.attempt + run.policy.max_attempts, "crashes": 0,
            "quarantined": False, "worker_id": None, "started_at": None, "finished_at": None,
            "keep_until": None,
            "expires_at": None, "cancel_requested": False, "reason": self.reason,
            "error_type": None, "error_message": None,
        }  # fmt: skip


def succeed(result: str | None = None) -> Transition:
    """Its function returned.

    Args:
        result: what it returned, as JSON text.
    """
    return Transition("succeeded", "run.succeeded", result=result)


def fail(error: ErrorFacts) -> Transition:
    """The attempt was unsuccessful and none is left: the run joins the dead letters."""
    return Transition("failed", "run.failed", error=error)


def retry_at(moment: datetime, error: ErrorFacts) -> Transition:
    """The attempt was unsuccessful; the next one is due at ``moment``."""
    return Transition("scheduled", "run.retried", due_at=moment, error=error)


def snooze(until: datetime) -> Transition:
    """Its function asked to be called later; the attempt does not count."""
    return Transition("scheduled", "run.snoozed", "snoozed", until, uncounted=True)


def give_back(reason: str) -> Transition:
    """Its worker does not execute it; the attempt does not count."""
    return Transition("ready", "run.given_back", reason, uncounted=True)


def rescue(why: str) -> Transition:
    """Its worker died; another attempt is due at once.

    Args:
        why: what happened to the worker.
    """
    return Transition("ready", "run.retried", why).crashed(why)


def discard(reason: str) -> Transition:
    """It is given up for good: by its function, or by hand after it had failed."""
    return Transition("discarded", "run.discarded", reason)


def cancel(reason: str) -> Transition:
    """It is cancelled, before it started or while it ran."""
    return Transition("cancelled", "run.cancelled", reason)


def miss(reason: str) -> Transition:
    """Its time passed before it could start."""
    return Transition("missed", "run.missed", reason)


def skip(reason: str) -> Transition:
    """A rule keeps it from running at all."""
    return Transition("skipped", "run.skipped", reason)


def revive(*, waits_for_slot: bool = False) -> Transition:
    """It has ended and starts over, with as many attempts as it had at first.

    Args:
        waits_for_slot: whether it first waits until an earlier run of its job has ended.
    """
    to: RunState = "scheduled" if waits_for_slot else "ready"
    return Transition(to, "run.revived", waits_for_slot=waits_for_slot)


SUCCESS = succeed()
"""The transition of a function that returned nothing: most do."""
