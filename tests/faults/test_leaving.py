"""A worker that stops while other threads of its process continue to enqueue, as in each deploy."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import pytest

from duly import Run, Scheduler
from duly.worker.claims.claim import HeldClaim
from tests.support.waiting import wait_until
from tests.worker.internals import lease_of, worker_of


def test_E02_a_call_that_is_enqueued_during_the_last_moment_of_a_stop_runs_elsewhere(
    prepared_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left for another worker, and does not count as a crash of the one that stops.

    It found a free slot before the stop began, and is committed after the stopping worker has
    given its runs back and before its rows are removed.
    """
    scheduler, seen = Scheduler(prepared_database_url), list[tuple[str, int]]()

    @scheduler.task(name="work", on_crash="fail")
    def work(run: Run) -> None:
        seen.append((run.id, run.attempt))

    scheduler.start()
    wait_until(lambda: scheduler.state == "running")
    worker, lease = worker_of(scheduler), lease_of(scheduler)
    pending_start, leave = worker.pending_start, lease.leave
    found_slot, may_commit = threading.Event(), threading.Event()
    enqueued: list[str] = []

    def pending_start_late() -> AbstractContextManager[set[HeldClaim]]:
        found_slot.set()
        assert may_commit.wait(60)
        return pending_start()

    def leave_late() -> None:
        may_commit.set()
        caller.join(60)
        leave()

    monkeypatch.setattr(worker, "pending_start", pending_start_late)
    monkeypatch.setattr(lease, "leave", leave_late)
    caller = threading.Thread(target=lambda: enqueued.append(scheduler.enqueue(work)))
    caller.start()
    assert found_slot.wait(60)
    scheduler.stop()
    monkeypatch.undo()
    run = scheduler.run(enqueued[0])
    assert (run.state, run.attempt, run.crashes, run.worker_id) == ("ready", 0, 0, None)
    scheduler.tick()
    assert seen == [(run.id, 1)]
    scheduler.stop()
