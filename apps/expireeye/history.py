"""The history of the check: Duly's runs with the outcomes of ExpireEye."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from apps.expireeye.jobs import CHECK
from apps.outcomes import STATES, outcome_of
from duly import RunRecord, Scheduler
from duly.model.run import RunState

_EXECUTED: tuple[RunState, ...] = ("succeeded", "failed", "cancelled")
_PAGE = 200
_RANGES = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the history: a run, or consecutive ticks that were missed.

    Attributes:
        at: when the run started, or should have started.
        ticks: the number of ticks.
        duration: seconds; ``None`` if the run has not finished or never started.
        detail: the error message, or the reason why there was no run.
    """

    at: datetime
    outcome: str
    id: str | None = None
    ticks: int = 1
    by_hand: bool = False
    worker: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: float | None = None
    counters: dict[str, int] = field(default_factory=dict)
    detail: str | None = None

    @classmethod
    def of(cls, run: RunRecord) -> Entry:
        """Return the entry of a run."""
        return cls(
            at=run.started_at or run.scheduled_for or run.due_at,
            outcome=outcome_of(run),
            id=run.id,
            by_hand=run.cause in ("manual", "retry_by_hand"),
            worker=run.worker_id,
            started_at=run.started_at,
            finished_at=run.finished_at,
            duration=None if run.duration is None else run.duration.total_seconds(),
            counters=run.counters,
            detail=run.error_message or run.reason,
        )


async def history(scheduler: Scheduler, *, limit: int, outcome: str | None = None) -> list[Entry]:
    """Return the newest entries, at most ``limit``, optionally only those with one outcome."""
    found = await _runs(scheduler, limit, outcome)
    if outcome in (None, "missed"):
        for gap in await scheduler.aio.missed(CHECK, limit=_RANGES):
            found.append(Entry(at=gap.first, outcome="missed", ticks=gap.count, detail=gap.reason))
    return sorted(found, key=lambda entry: entry.at, reverse=True)[:limit]


async def last_executed(scheduler: Scheduler) -> Entry | None:
    """Return the newest run that was executed and has finished."""
    runs = await scheduler.aio.runs(job=CHECK, state=_EXECUTED, limit=1)
    return Entry.of(runs[0]) if runs else None


async def last_success_at(scheduler: Scheduler) -> datetime | None:
    """Return when the newest successful run finished."""
    runs: list[RunRecord] = await scheduler.aio.runs(job=CHECK, state="succeeded", limit=1)
    return runs[0].finished_at if runs else None


async def _runs(scheduler: Scheduler, limit: int, outcome: str | None) -> list[Entry]:
    found: list[Entry] = []
    after: str | None = None
    while len(found) < limit:
        states = None if outcome is None else STATES[outcome]
        page = await scheduler.aio.runs(job=CHECK, state=states, limit=_PAGE, after=after)
        entries = map(Entry.of, page)
        found += [entry for entry in entries if outcome in (None, entry.outcome)]
        if len(page) < _PAGE:
            break
        after = page[-1].id
    return found
