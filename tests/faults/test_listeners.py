"""Functions that listen to events cannot hold up the engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from duly import Event, Scheduler, every
from duly.operations import lifecycle, listeners
from tests.support.waiting import wait_until


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_sqlite_url)
    made.task(name="work")(lambda: None)
    yield made
    made.stop(grace=0)


def test_U08_jobs_fire_while_a_listener_takes_its_time(scheduler: Scheduler) -> None:
    """Events wait for the listener; runs start and end meanwhile."""
    entered, leave = threading.Event(), threading.Event()
    heard: list[Event] = []

    def slow(event: Event) -> None:
        entered.set()
        leave.wait(240)
        heard.append(event)

    scheduler.on("run.succeeded", slow)
    scheduler.start()
    first = scheduler.enqueue("work")
    assert entered.wait(240)
    try:
        scheduler.add("work", every(seconds=1), id="j")
        wait_until(lambda: [run for run in scheduler.runs(job="j") if run.state == "succeeded"])
        assert heard == []
    finally:
        leave.set()
    wait_until(lambda: len(heard) >= 2)
    assert heard[0].run_id == first


def test_U08_events_are_heard_in_their_order_on_one_thread(scheduler: Scheduler) -> None:
    """Those of the engine and those of the application's calls."""
    heard: list[tuple[str, str | None, str]] = []

    def hear(event: Event) -> None:
        heard.append((event.kind, event.run_id, threading.current_thread().name))

    for kind in ("run.started", "run.succeeded", "job.paused", "job.resumed"):
        scheduler.on(kind, hear)
    scheduler.start()
    ids = [scheduler.enqueue("work") for _ in range(20)]
    wait_until(lambda: all(scheduler.run(run_id).is_terminal for run_id in ids))
    scheduler.add("work", every(hours=1), id="j")
    scheduler.pause("j")
    scheduler.resume("j")
    scheduler.stop()
    assert [kind for kind, _, _ in heard][-2:] == ["job.paused", "job.resumed"]
    assert {thread for _, _, thread in heard} == {"duly-listeners"}
    for run_id in ids:
        kinds = [kind for kind, about, _ in heard if about == run_id]
        assert kinds == ["run.started", "run.succeeded"]


def test_U08_a_stop_waits_for_listeners_within_a_bound(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener that never returns does not keep the process; the log says so."""
    monkeypatch.setattr(lifecycle, "LISTENER_SECONDS", 0.2)
    entered, leave = threading.Event(), threading.Event()

    def stubborn(_event: Event) -> None:
        entered.set()
        leave.wait(240)

    scheduler.on("run.succeeded", stubborn)
    scheduler.start()
    scheduler.enqueue("work")
    assert entered.wait(240)
    with caplog.at_level(logging.WARNING):
        scheduler.stop()
    leave.set()
    assert "Listeners have not ended" in caplog.text


def test_U08_events_that_find_no_room_are_dropped_and_that_is_logged(
    prepared_sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The memory that waiting events take is bounded."""
    monkeypatch.setattr(listeners, "MAX_WAITING", 3)
    scheduler = Scheduler(prepared_sqlite_url)
    scheduler.task(name="work")(lambda: None)
    entered, leave = threading.Event(), threading.Event()
    heard: list[Event] = []

    def slow(event: Event) -> None:
        heard.append(event)
        entered.set()
        leave.wait(240)

    scheduler.on("run.started", slow)
    scheduler.start()
    scheduler.enqueue("work")
    assert entered.wait(240)
    with caplog.at_level(logging.WARNING):
        ids = [scheduler.enqueue("work") for _ in range(10)]
        wait_until(lambda: all(scheduler.run(run_id).is_terminal for run_id in ids))
        leave.set()
        scheduler.stop()
    assert len(heard) == 4
    assert "The queue of duly-listeners is full" in caplog.text
    assert "7 items of duly-listeners were dropped" in caplog.text


def test_U08_a_listener_may_call_the_scheduler(scheduler: Scheduler) -> None:
    """Even ``stop()``: it is not called on a thread that the stop waits for."""
    stopped = threading.Event()

    def stop(_event: Event) -> None:
        scheduler.stop()
        stopped.set()

    scheduler.on("run.succeeded", stop)
    scheduler.start()
    scheduler.enqueue("work")
    assert stopped.wait(240)
    assert scheduler.health().engine == "stopped"


def test_U08_a_forked_child_does_not_deliver_the_events_of_its_parent(
    scheduler: Scheduler,
) -> None:
    """What waits in the parent stays there."""
    import os

    entered, leave = threading.Event(), threading.Event()
    heard: list[int] = []

    def slow(_event: Event) -> None:
        heard.append(os.getpid())
        entered.set()
        leave.wait(240)

    scheduler.on("run.started", slow)
    scheduler.start()
    ids = [scheduler.enqueue("work") for _ in range(3)]
    assert entered.wait(240)
    wait_until(lambda: all(scheduler.run(run_id).is_terminal for run_id in ids))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            leave.set()
            scheduler.add("work", every(hours=1), id="j")  # not started here: announced at once
            code = 0 if heard == [os.getppid()] else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    leave.set()
    wait_until(lambda: len(heard) == 3)
