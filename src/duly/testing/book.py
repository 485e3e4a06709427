"""What a client was told: which of its writes were acknowledged, refused, or left in doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Known:
    """What a job may look like as far as the client knows."""

    exists: bool = False
    paused: bool = False
    n: int = 0

    def added(self, n: int) -> Known:
        """After `add`: an edited job stays paused, a new one is not."""
        return Known(True, self.exists and self.paused, n)

    def edited(self, n: int) -> Known | None:
        """After `edit`."""
        return replace(self, n=n) if self.exists else None

    def set_paused(self, paused: bool) -> Known | None:
        """After `pause` or `resume`."""
        return replace(self, paused=paused) if self.exists else None

    def removed(self) -> Known | None:
        """After `remove`."""
        return Known() if self.exists else None


@dataclass(slots=True)
class Book:
    """What the client knows.

    Attributes:
        jobs: by id, everything that the job may look like now: one value when all is known.
        runs: the ids of runs whose making was acknowledged.
        joined: by key, whether the application's own transaction was committed (``None``: unknown),
            and the id of the run made in it.
        contradictions: answers that cannot be true by what was acknowledged before.
    """

    jobs: dict[str, set[Known]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    joined: dict[str, tuple[bool | None, str | None]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def of(self, job_id: str) -> set[Known]:
        """Everything that a job may look like."""
        return self.jobs.setdefault(job_id, {Known()})

    def acknowledged(self, job_id: str, change: Callable[[Known], Known | None]) -> None:
        """A change was acknowledged."""
        after = {change(known) for known in self.of(job_id)} - {None}
        self._narrow(job_id, {known for known in after if known}, "was done")

    def in_doubt(self, job_id: str, change: Callable[[Known], Known | None]) -> None:
        """Nobody knows whether a change was made."""
        held = self.of(job_id)
        held |= {known for known in map(change, tuple(held)) if known}

    def found(self, job_id: str, exists: bool) -> None:
        """An answer said whether the job exists."""
        kept = {known for known in self.of(job_id) if known.exists is exists}
        self._narrow(job_id, kept, "exists" if exists else "does not exist")

    def _narrow(self, job_id: str, kept: set[Known], said: str) -> None:
        if not kept:
            self.contradictions.append(
                f"an answer says that {job_id} {said}, but it was known as {self.of(job_id)}"
            )
        self.jobs[job_id] = kept or self.of(job_id)
