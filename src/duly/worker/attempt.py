"""An attempt: one try of a claimed run, from the moment it gets a slot until its function ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import IntEnum

from duly.context import Run
from duly.executors.base import CallResult, Executor, Invocation
from duly.hooks import AroundRun
from duly.model.run import LogLine
from duly.worker.claims.claim import Claim
from duly.worker.outcome import StopReason


class Phase(IntEnum):
    """How far an attempt has come; it never goes back to an earlier phase.

    A claim that waits for a slot is not an attempt yet; one that is given back while it waits
    becomes an attempt that stays in ``WAITING``.
    """

    WAITING = 0
    """Its function has not been called."""

    RUNNING = 1
    """Its function is being called."""

    STOPPING = 2
    """Its function has been asked to stop."""

    ABANDONED = 3
    """Its run has ended in the database, although its function is still running."""

    LOST = 4
    """Its worker has lost its lease: nothing may be written about it any more."""

    COMMITTED = 5
    """Its function's own transaction has ended its run: nothing is left to be written."""


_ADVANCING = threading.Lock()
_NOTHING = CallResult()


class Attempt(Invocation):
    """One attempt of a claimed run.

    Args:
        claim: the right to execute the run.
        run: the context that its function receives.
        steady: reads the steady clock.
        around: context managers to enter around its function.

    Attributes:
        executor: where its function runs; set before it is submitted.
        phase: how far it has come.
        deadline: when it exceeds its timeout, on the steady clock; ``None`` without a timeout.
        stop_reason: why it was asked to stop; ``None`` if it was not.
        stopping_since: when that was, on the steady clock.
        result: what its function returned or raised, once it has ended.
        transactional: whether its completion belongs to its function's own transaction.
        unsent: log lines that no commit has stored yet.
        last_report: the progress that was stored last.
    """

    __slots__ = (
        "claim", "deadline", "executor", "last_report", "phase", "result", "stop_reason",
        "stopping_since", "transactional", "unsent",
    )  # fmt: skip

    executor: Executor

    def __init__(
        self,
        claim: Claim,
        run: Run,
        steady: Callable[[], float],
        around: Sequence[AroundRun] = (),
    ) -> None:
        super().__init__(run, steady, around)
        self.claim = claim
        self.text = claim.args
        self.phase = Phase.WAITING
        self.deadline: float | None = None
        self.stop_reason: StopReason | None = None
        self.stopping_since = 0.0
        self.result = _NOTHING
        self.transactional = False
        self.unsent: list[LogLine] = []
        self.last_report: tuple[object, ...] = (None,)

    @property
    def has_outlived_run(self) -> bool:
        """Whether its result is ignored: its run has ended without it, or its lease is lost."""
        return self.phase in (Phase.ABANDONED, Phase.LOST)

    @property
    def is_apart(self) -> bool:
        """Whether it is a run of a process job, which no row stands behind."""
        return not self.claim.claim_id

    @property
    def must_stop(self) -> bool:
        """Whether its outcome is decided already, whatever its function returns."""
        return self.stop_reason in ("cancelled", "timeout", "not_started")

    def begin(self) -> None:
        """Enter the phase `RUNNING`, and set the deadline."""
        self.phase = Phase.RUNNING
        limit = self.claim.policy.timeout
        if limit is not None:
            self.deadline = self.steady() + limit

    def advance(self, phase: Phase) -> None:
        """Enter a phase, unless a later one has been entered, perhaps by another thread."""
        with _ADVANCING:
            self.phase = max(self.phase, phase)

    def mark_stopping(self, reason: StopReason) -> None:
        """Note why it must stop."""
        self.stopping_since, self.stop_reason = self.steady(), reason
        self.advance(Phase.STOPPING)

    def stop(self, reason: StopReason) -> None:
        """Ask its function to stop, unless it has been asked before."""
        if self.stop_reason is None:
            self.mark_stopping(reason)
            self.interrupt()

    def interrupt(self) -> None:
        """Make ``run.cancelled`` true, and interrupt the function where that is possible."""
        self.run.request_stop()
        self.executor.interrupt(self)
