"""Queues as the dashboard shows them: what waits in each, and why it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from duly.model.run import RunRecord
from duly.operations.measures import QueueCounts
from duly.operations.status import QueueStatus, Status
from duly.web.dashboard.formatting import SECOND, count, span
from duly.web.dashboard.waiting import LONG
from duly.web.dashboard.worker_views import WorkerView


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue: what waits in it, and what executes its runs.

    Attributes:
        queue: the queue and its limits.
        ready: the number of runs that could start now.
        oldest_age: seconds since the first of them was due; ``None``: there is none.
        running: the number of its runs that execute.
        slots: the number that the living workers execute at once.
        workers: the number of living workers that serve it.
        why: why its runs wait, as a sentence; empty if none does.
    """

    queue: QueueStatus
    ready: int
    oldest_age: float | None
    running: int
    slots: int
    workers: int
    why: str = ""


def queue_views(
    status: Status,
    depths: Iterable[QueueCounts],
    workers: Sequence[WorkerView],
    running: Sequence[RunRecord],
) -> list[QueueView]:
    """Return all queues that exist, sorted by name."""
    known = {queue.name: queue for queue in status.queues}
    waiting = {depth.name: depth for depth in depths}
    executing = Counter(run.queue for run in running)
    views = []
    for name in sorted({*known, *waiting, *executing}):
        serving = [
            slots.total
            for view in workers
            for slots in view.slots
            if view.state == "alive" and slots.queue == name
        ]
        depth = waiting.get(name)
        queue = known.get(name) or QueueStatus(name)
        ready = depth.ready if depth else 0
        oldest = depth.oldest_age if depth else None
        numbers = (executing[name], sum(serving), len(serving))
        age = oldest or 0
        why = why_waiting(queue, *numbers, age=age, stopped=status.stopped) if ready else ""
        views.append(QueueView(queue, ready, oldest, *numbers, why))
    return views


def why_waiting(
    queue: QueueStatus, running: int, slots: int, workers: int, *, age: float, stopped: bool
) -> str:
    """Return why the ready runs of a queue have not started, as a sentence.

    Args:
        queue: the queue and its limits.
        running: the number of its runs that execute.
        slots: the number that the living workers execute at once.
        workers: the number of living workers that serve it.
        age: seconds since the first of its runs was due.
        stopped: whether the scheduler is switched off.
    """
    if stopped:
        return "The scheduler is switched off."
    if queue.paused:
        return "The queue is paused."
    if not workers:
        return "No living worker serves this queue."
    if queue.max_running is not None and running >= queue.max_running:
        return f"Its limit is reached: at most {count(queue.max_running, 'run')} at once."
    if running >= slots:
        return f"All {count(slots, 'slot')} of its workers are in use."
    if queue.rate is not None:
        return f"Its rate allows {count(queue.rate, 'start')} in {span(queue.per)}."
    if age > LONG / SECOND:
        return (
            f"{slots - running} of {count(slots, 'slot')} are free: perhaps no worker of this "
            "queue knows the task of the oldest run, or its concurrency key is in use."
        )
    return "A worker is about to start them, unless their concurrency keys are in use."
