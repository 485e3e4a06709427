"""What is committed is acknowledged, whatever fails afterwards."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import pytest

from duly import Scheduler
from duly.worker.claims.claim import HeldClaim
from tests.support.waiting import wait_until
from tests.worker.internals import worker_of


def test_E21_a_call_is_acknowledged_when_no_thread_can_be_had_for_its_notice(
    prepared_postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call returns its run's id, and later calls send notices again."""
    scheduler, started = Scheduler(prepared_postgresql_url), list[str]()
    scheduler.task(name="work")(lambda: None)
    scheduler.prepare()
    start = threading.Thread.start

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def note(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    run_id = scheduler.enqueue("work")
    assert scheduler.run(run_id).state == "ready"
    monkeypatch.setattr(threading.Thread, "start", note)
    scheduler.enqueue("work")
    assert started == ["duly-notices"]
    scheduler.stop()


def test_E21_threads_that_enqueue_at_one_instant_do_not_share_a_slot(
    prepared_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two calls that find one free slot, one starts here; the other is left for any worker.

    It would otherwise wait for up to a second beside another worker that is idle.
    """
    scheduler, leave = Scheduler(prepared_database_url, queues={"default": 1}), threading.Event()
    scheduler.task(name="work")(lambda: leave.wait(60))
    with scheduler.running():
        wait_until(lambda: scheduler.state == "running")
        worker, met = worker_of(scheduler), threading.Event()
        pending_start, ids = worker.pending_start, list[str]()

        def pending_start_late() -> AbstractContextManager[set[HeldClaim]]:
            """Let a second call look for a slot before the first one is stored."""
            if not met.is_set():
                met.set()
                ids.append(scheduler.enqueue("work"))
            return pending_start()

        monkeypatch.setattr(worker, "pending_start", pending_start_late)
        ids.append(scheduler.enqueue("work"))
        states = [scheduler.run(run_id).state for run_id in ids]
        assert states.count("running") <= 1
        wait_until(lambda: "running" in [scheduler.run(run_id).state for run_id in ids])
        leave.set()
        wait_until(lambda: all(scheduler.run(run_id).state == "succeeded" for run_id in ids))
