"""Runs that wait in a queue which no worker serves, and where they could run instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from duly.model.run import RunRecord
from duly.operations.status import Status
from duly.web.dashboard.worker_views import state_of

PATIENCE = timedelta(seconds=10)
"""How long a run may be due without a worker, for instance while a new version is deployed."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """A run that no worker can start.

    Attributes:
        run: the oldest one.
        number: the number of such runs among the job's last runs.
        queue: the queue that they wait in.
        served: the queues that workers serve.
    """

    run: RunRecord
    number: int
    queue: str
    served: list[str]


def stranded(runs: Sequence[RunRecord], status: Status) -> Stranded | None:
    """Return the oldest of a job's last runs that no worker can start, if there is one."""
    alive = [worker for worker in status.workers if state_of(worker, status.at) == "alive"]
    served = sorted({name for worker in alive for name in worker.queues})
    waiting = [
        run
        for run in runs
        if run.state == "ready" and run.queue not in served and run.due_at < status.at - PATIENCE
    ]
    if not waiting:
        return None
    oldest = min(waiting, key=lambda run: run.due_at)
    return Stranded(oldest, len(waiting), oldest.queue, served)
