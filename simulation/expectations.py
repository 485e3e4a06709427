"""What a client may expect of its jobs and runs, given which of its calls were acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class JobState:
    """A state that a job may be in, as far as the client can know.

    Attributes:
        exists: whether the job is stored.
        paused: whether it is paused.
        n: the argument ``n`` that its last edit gave it.
    """

    exists: bool = False
    paused: bool = False
    n: int = 0

    def after_add(self, n: int) -> JobState:
        """Return the state after `add`: replacing a job keeps it paused, a new one is active."""
        return JobState(True, self.exists and self.paused, n)

    def after_edit(self, n: int) -> JobState | None:
        """Return the state after `edit`, or ``None`` if the job does not exist."""
        return replace(self, n=n) if self.exists else None

    def after_pause(self, paused: bool) -> JobState | None:
        """Return the state after `pause` or `resume`, or ``None`` if the job does not exist."""
        return replace(self, paused=paused) if self.exists else None

    def after_remove(self) -> JobState | None:
        """Return the state after `remove`, or ``None`` if the job does not exist."""
        return JobState() if self.exists else None


Change = Callable[[JobState], JobState | None]
"""Maps a state to the one that follows it; ``None`` where the change is impossible."""


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change that was requested and may still be made.

    Attributes:
        job_id: the job that it changes.
        change: what it does.
        before: the possible states when it was requested.
        during: the possible states while it is pending. As long as the job has this very set, no
            other change was requested; otherwise it is unknown which of them came first.
    """

    job_id: str
    change: Change
    before: set[JobState]
    during: set[JobState]


@dataclass(slots=True)
class Expectations:
    """What the client knows.

    Attributes:
        jobs: the possible states of each job, by id; exactly one when its state is certain.
        runs: the ids of runs whose creation was acknowledged.
        cancelled: the ids of runs whose cancellation before their start was acknowledged.
        transactions: for each transaction of the application's own, by its key, whether it was
            committed (``None`` if unknown) and the id of the run enqueued in it.
        contradictions: answers that cannot be true after what was acknowledged before.
        pending: changes whose call has not returned yet.
    """

    jobs: dict[str, set[JobState]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    transactions: dict[str, tuple[bool | None, str | None]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    pending: list[PendingChange] = field(default_factory=list)

    def states(self, job_id: str) -> set[JobState]:
        """Return every state that a job may be in."""
        return self.jobs.setdefault(job_id, {JobState()})

    @contextmanager
    def requesting(self, job_id: str, change: Change) -> Iterator[PendingChange]:
        """Request a change: until the block ends it may be made at any time, or never.

        The calling process may be paused inside the block for any length of time.
        """
        before = self.states(job_id)
        self.jobs[job_id] = before | _apply(change, before)
        request = PendingChange(job_id, change, before, self.jobs[job_id])
        self.pending.append(request)
        try:
            yield request
        finally:
            self.pending = [other for other in self.pending if other is not request]

    def acknowledge(self, request: PendingChange) -> None:
        """Note that a change was acknowledged."""
        states = self.states(request.job_id)
        if states is request.during:
            self._narrow(request, _apply(request.change, request.before), "was changed")
        else:
            self.jobs[request.job_id] = states | _apply(request.change, states)

    def refuse(self, request: PendingChange) -> None:
        """Note that a change was refused for a reason that reveals nothing about the job."""
        if self.states(request.job_id) is request.during:
            self.jobs[request.job_id] = request.before

    def observe(self, request: PendingChange, *, exists: bool) -> None:
        """Note that an answer revealed whether the job exists instead of making a change."""
        if self.states(request.job_id) is request.during:
            possible = {state for state in request.before if state.exists is exists}
            self._narrow(request, possible, "exists" if exists else "does not exist")

    def _narrow(self, request: PendingChange, possible: set[JobState], claim: str) -> None:
        if not possible:
            self.contradictions.append(
                f"an answer claims that {request.job_id} {claim}, but its possible states were "
                f"{request.before}"
            )
        possible = possible or request.before
        for other in self.pending:
            if other is not request and other.job_id == request.job_id:
                possible = possible | _apply(other.change, possible)
        self.jobs[request.job_id] = possible


def _apply(change: Change, states: set[JobState]) -> set[JobState]:
    return {state for state in map(change, states) if state}
