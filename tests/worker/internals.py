"""The only place where tests reach behind a scheduler's public names, into its worker.

Everything else that a test needs is public: `Scheduler.worker_id`, `Scheduler.in_flight`,
`Scheduler.tick`. A house test keeps private names of Duly out of all other test files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from duly import Scheduler
from duly.worker.adaptive_batch import AdaptiveBatch
from duly.worker.claims.claimer import Claimer
from duly.worker.lease import Registration, WorkerLease
from duly.worker.wakeup import Wakeup
from duly.worker.worker import Worker

CLAIM_STATEMENT = "duly.worker.claims.claimer.Claimer._take"
"""Writes a claim; tests replace it by a failure."""

RESULT_STATEMENT = "duly.worker.completion._write"
"""Writes the results that are more than a plain success; tests replace it by a failure."""


def worker_of(scheduler: Scheduler) -> Worker:
    """The worker that a scheduler steps; ``tick()`` on it is exactly one step."""
    return scheduler._core.worker


def lease_of(scheduler: Scheduler) -> WorkerLease:
    """Return the worker's lease."""
    return worker_of(scheduler).lease


def registration_of(scheduler: Scheduler) -> Registration:
    """Return the worker's current registration."""
    registration = lease_of(scheduler)._registration
    assert registration is not None
    return registration


def replace_beat(lease: WorkerLease, beat: Callable[..., str | None]) -> None:
    """Let every later heartbeat call ``beat`` instead of the database."""
    lease._renew = beat  # type: ignore[method-assign]


def die(scheduler: Scheduler) -> None:
    """Leave the worker as a killed process does: its row stays, its file lock is released."""
    lease = lease_of(scheduler)
    if lease.locks is not None:
        lease.locks._own[lease.worker_id].close()


def unwritten(scheduler: Scheduler) -> int:
    """Return the number of ended runs whose outcomes are not written yet."""
    return len(worker_of(scheduler).execution.completions)


def replace_claiming(scheduler: Scheduler, replace: Callable[[Callable[..., Any]], Any]) -> None:
    """Let the worker's steps claim by ``replace(the original function)``."""
    worker = worker_of(scheduler)
    worker._claim = replace(worker._claim)  # type: ignore[method-assign]


def end_loop(scheduler: Scheduler) -> None:
    """Let the thread of the worker's loop end without a word, as no thread should."""
    loop = worker_of(scheduler).loop
    assert loop.thread is not None
    loop._halt.set()
    loop.wake()
    loop.thread.join(30)
    loop._halt.clear()


def write_back(scheduler: Scheduler) -> None:
    """Write results back without taking a step, as if the worker had not yet lost its lease."""
    worker_of(scheduler).execution.completions.flush(lease_of(scheduler).worker_id)


def claimer_of(scheduler: Scheduler) -> Claimer:
    """Return the worker's claimer of ready runs."""
    return worker_of(scheduler)._claims.ready


def look_for_strays(scheduler: Scheduler) -> None:
    """Give back the claims that are stored as the worker's although it does not know of them."""
    worker_of(scheduler)._maintenance._return_strays(scheduler.worker_id or "")


def firing_batch(scheduler: Scheduler) -> AdaptiveBatch:
    """Return the adaptive size of the worker's firing batches."""
    return worker_of(scheduler)._firing._batch_size


def assume_short_runs(scheduler: Scheduler) -> None:
    """Make the default queue prefetch, as it does once its runs have proved to be short."""
    worker_of(scheduler).execution.in_flight._slots["default"]._mean = 1e-4


def wakeup_event(scheduler: Scheduler) -> threading.Event:
    """Return the event that is set when the worker's loop is woken."""
    return worker_of(scheduler).loop._wakeup._event


def has_new_commits(wakeup: Wakeup) -> bool:
    """Return whether the database file has changed since ``wakeup`` was armed."""
    return wakeup._changed()
