"""Workers as the dashboard shows them: whether they live, what they execute, what is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from duly.model.run import RunRecord
from duly.model.worker import WorkerRecord

MIN_SHOWN, MAX_SHOWN = 2, 5
"""The number of runs that are listed of one worker, if there are many workers, and if few."""

MAX_LISTED = 50
"""The number of runs from which fewer are listed of each worker."""

WorkerState = Literal["alive", "draining", "silent"]


@dataclass(frozen=True, slots=True)
class Slots:
    """The runs that a worker executes at once from one queue.

    Attributes:
        queue: the queue.
        used: the number of runs that it executes now.
        total: the number that it executes at once.
    """

    queue: str
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker and what it executes.

    Attributes:
        worker: the worker.
        state: ``silent`` if its lease has expired.
        slots: its slots, by queue.
        runs: some of the runs that it executes, the oldest first.
        running: the number of all of them.
        newer_zones: the newest time zone data of other workers, if it has older data.
    """

    worker: WorkerRecord
    state: WorkerState
    slots: list[Slots]
    runs: list[RunRecord]
    running: int
    newer_zones: str | None


def worker_views(
    workers: Sequence[WorkerRecord], running: Sequence[RunRecord], now: datetime
) -> list[WorkerView]:
    """Return the workers with the running runs that they execute."""
    newest = max((worker.tzdb for worker in workers if worker.tzdb[:1].isdigit()), default="")
    shown = max(MIN_SHOWN, min(MAX_SHOWN, MAX_LISTED // max(1, len(workers))))
    views = []
    for worker in workers:
        runs = [run for run in reversed(running) if run.worker_id == worker.id]
        used = Counter(run.queue for run in runs)
        views.append(
            WorkerView(
                worker,
                state_of(worker, now),
                [Slots(name, used[name], total) for name, total in sorted(worker.queues.items())],
                runs[:shown],
                len(runs),
                newest if worker.tzdb < newest or not worker.tzdb[:1].isdigit() else None,
            )
        )
    return views


def state_of(worker: WorkerRecord, now: datetime) -> WorkerState:
    """Return whether a worker lives, and takes runs."""
    if worker.lease_until <= now:
        return "silent"
    return "draining" if worker.draining else "alive"
