"""What is committed is acknowledged, whatever fails afterwards."""

from __future__ import annotations

import threading

import pytest

from duly import Scheduler


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
