"""Why a run has not started, as far as its record and the scheduler's status tell."""

from __future__ import annotations

from datetime import timedelta

from duly.model.run import RunRecord
from duly.model.worker import WorkerRecord
from duly.operations.status import Status
from duly.web.dashboard.formatting import count, span
from duly.web.dashboard.worker_views import state_of

MAX_CRASHES = 2
"""The number of crashes after which a run only starts on a worker that is idle."""

LONG = timedelta(minutes=1)
"""How long a run may wait beside free slots before that is suspicious: workers look each second."""


def why_waiting(run: RunRecord, status: Status, executing: int) -> list[str]:
    """Return why a run has not started, the gravest first; empty if it does not wait.

    The order is that of the gates in docs/guides/why_not_started.md.

    Args:
        run: the run.
        status: the status of the scheduler.
        executing: the number of runs of its queue that are executing now.
    """
    if run.state not in ("scheduled", "ready"):
        return []
    found = (
        ["The scheduler is switched off: no run starts in any worker."] if status.stopped else []
    )
    if run.state == "scheduled":
        return [*found, _until(run, status)]
    return [*found, *_in_queue(run, status, executing)]


def _until(run: RunRecord, status: Status) -> str:
    if run.due_at <= status.at:
        return (
            "It is due, but waits for a slot of its job: another run of the job has not finished, "
            "or the function of its own last attempt is still executing."
        )
    away = span(run.due_at - status.at)
    if run.attempt:
        number = f"Attempt {run.attempt + 1} of {run.max_attempts}"
        return f"{number} starts in {away}; the waits between attempts are set by its retry policy."
    return f"It is due in {away}."


def _in_queue(run: RunRecord, status: Status, executing: int) -> list[str]:
    alive = [worker for worker in status.workers if state_of(worker, status.at) != "silent"]
    queue = next((queue for queue in status.queues if queue.name == run.queue), None)
    found = []
    if queue is not None and queue.paused:
        reason = f": {queue.paused_reason}" if queue.paused_reason else ""
        found.append(f"The queue {run.queue} is paused{reason}.")
    found += _without_worker(run, alive)
    if found:
        return found
    if queue is not None and queue.max_running is not None:
        most = count(queue.max_running, "run")
        found.append(f"The queue {run.queue} executes at most {most} at once, over all workers.")
    if queue is not None and queue.rate is not None:
        found.append(f"In the queue {run.queue}, {queue.rate:,} may start per {span(queue.per)}.")
    if run.crashes >= MAX_CRASHES:
        found.append(
            f"Its worker died {run.crashes} times, so that it starts only on a worker without "
            "other runs."
        )
    slots = sum(
        worker.queues[run.queue]
        for worker in alive
        if run.queue in worker.queues and not worker.draining
    )
    waited = status.at - run.due_at
    if waited > LONG and executing < slots and not found:
        found.append(
            f"It has been due for {span(waited)} although {slots - executing} of "
            f"{count(slots, 'slot')} of the queue {run.queue} are free. Perhaps no worker that "
            f"serves the queue knows its task, {run.task}, or its concurrency key is in use."
        )
    else:
        found.append(
            f"It starts as soon as one of {count(slots, 'slot')} of the queue {run.queue} is free "
            "and no run of a higher priority is first."
        )
    return found


def _without_worker(run: RunRecord, alive: list[WorkerRecord]) -> list[str]:
    serving = [worker for worker in alive if run.queue in worker.queues]
    if not alive:
        return ["No worker is alive."]
    if not serving:
        return [f"No worker serves the queue {run.queue}."]
    if all(worker.draining for worker in serving):
        return [
            f"All workers that serve the queue {run.queue} are draining: they start no more runs."
        ]
    return []
