"""What a client was told: which of its writes were acknowledged, refused, or left in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


Change = Callable[[Known], Known | None]


@dataclass(frozen=True, slots=True)
class Issued:
    """A change that was asked for.

    Attributes:
        before: what the job may have looked like then.
        held: the same with the change in doubt. While the book still holds this very set, nothing
            else was asked of the job; else nobody knows which of the two came first.
    """

    job_id: str
    change: Change
    before: set[Known]
    held: set[Known]


@dataclass(slots=True)
class Book:
    """What the client knows.

    Attributes:
        jobs: by id, everything that the job may look like now: one value when all is known.
        runs: the ids of runs whose making was acknowledged.
        joined: by key, whether the application's own transaction was committed (``None``: unknown),
            and the id of the run made in it.
        contradictions: answers that cannot be true by what was acknowledged before.
        under_way: changes whose call is not over: each may still be made at any time.
    """

    jobs: dict[str, set[Known]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    joined: dict[str, tuple[bool | None, str | None]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    under_way: list[Issued] = field(default_factory=list)

    def of(self, job_id: str) -> set[Known]:
        """Everything that a job may look like."""
        return self.jobs.setdefault(job_id, {Known()})

    @contextmanager
    def issue(self, job_id: str, change: Change) -> Iterator[Issued]:
        """A change is on its way: until it is answered, it may be made or not.

        However long its process stands still, it may be made until the block ends.
        """
        before = self.of(job_id)
        self.jobs[job_id] = before | _changed(before, change)
        issued = Issued(job_id, change, before, self.jobs[job_id])
        self.under_way.append(issued)
        try:
            yield issued
        finally:
            self.under_way = [held for held in self.under_way if held is not issued]

    def acknowledged(self, issued: Issued) -> None:
        """A change was acknowledged."""
        held, change = self.of(issued.job_id), issued.change
        if held is issued.held:
            self._narrow(issued, _changed(issued.before, change), "was done")
        else:
            self.jobs[issued.job_id] = held | _changed(held, change)

    def refused(self, issued: Issued) -> None:
        """A change was refused for a reason that says nothing of the job."""
        if self.of(issued.job_id) is issued.held:
            self.jobs[issued.job_id] = issued.before

    def found(self, issued: Issued, exists: bool) -> None:
        """Instead of a change being made, an answer said whether the job exists."""
        if self.of(issued.job_id) is issued.held:
            kept = {known for known in issued.before if known.exists is exists}
            self._narrow(issued, kept, "exists" if exists else "does not exist")

    def _narrow(self, issued: Issued, kept: set[Known], said: str) -> None:
        if not kept:
            self.contradictions.append(
                f"an answer says that {issued.job_id} {said}, but it was known as {issued.before}"
            )
        kept = kept or issued.before
        for other in self.under_way:
            if other is not issued and other.job_id == issued.job_id:
                kept = kept | _changed(kept, other.change)
        self.jobs[issued.job_id] = kept


def _changed(held: set[Known], change: Change) -> set[Known]:
    return {known for known in map(change, held) if known}
