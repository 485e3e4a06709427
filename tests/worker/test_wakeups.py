"""How a worker learns early of runs that another process has created."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine

from duly import Scheduler
from duly.store.dialects.postgresql_notifier import PostgreSQLNotifier
from duly.worker import wakeup
from tests.support.waiting import wait_until


@pytest.fixture
def never_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is not woken polls the database once an hour."""
    monkeypatch.setattr(wakeup, "MAX_WAIT", 3600.0)
    monkeypatch.setattr(wakeup, "SERVER_POLL", 3600.0)


def _pair(url: str, **options: object) -> tuple[Scheduler, Scheduler, threading.Event]:
    """Return a scheduler that works and one that only enqueues, like two processes."""
    works, enqueues = Scheduler(url, **options), Scheduler(url)  # type: ignore[arg-type]
    called = threading.Event()
    for scheduler in (works, enqueues):
        scheduler.task(name="call")(called.set)
    return works, enqueues, called


@pytest.mark.usefixtures("never_polls")
def test_rule_28_a_notice_wakes_other_processes(prepared_postgresql_url: str) -> None:
    """A run that one process enqueues starts in another long before its next poll."""
    works, enqueues, called = _pair(prepared_postgresql_url)
    with works.running():
        wait_until(lambda: works.state == "running")
        enqueues.enqueue("call")
        assert called.wait(8)
    enqueues.stop()


@pytest.mark.usefixtures("never_polls")
def test_listening_resumes_after_its_connection_broke(prepared_postgresql_url: str) -> None:
    """It reconnects, and the worker polls at once for notices missed meanwhile."""
    works, enqueues, called = _pair(prepared_postgresql_url)
    with works.running():
        wait_until(lambda: works.state == "running")
        wait_until(lambda: _listeners(enqueues) == 1)
        with enqueues.store.engine.connect() as conn:
            conn.exec_driver_sql(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query ilike 'listen %%' and datname = current_database()"
            )
        enqueues.enqueue("call")
        assert called.wait(8)
    enqueues.stop()


def test_behind_a_pooler_nothing_listens_and_work_is_found(prepared_postgresql_url: str) -> None:
    """LISTEN has no effect on a pooled connection, so the worker polls."""
    works, enqueues, called = _pair(prepared_postgresql_url, pooler=True)
    with works.running():
        wait_until(lambda: works.state == "running")
        assert _listeners(enqueues) == 0
        enqueues.enqueue("call")
        assert called.wait(8)
    enqueues.stop()


def test_rule_28_nothing_is_sent_inside_the_callers_transaction(
    prepared_postgresql_url: str,
) -> None:
    """A notice there would forbid PREPARE TRANSACTION and serialise the host's commits."""
    _works, enqueues, _called = _pair(prepared_postgresql_url)
    with enqueues.store.engine.connect() as conn, conn.begin():
        enqueues.enqueue("call", session=conn)
        sent: list[str] = conn.exec_driver_sql("select pg_listening_channels()").all()  # type: ignore[assignment]
        assert sent == []
        assert conn.exec_driver_sql("select pg_notification_queue_usage()").scalar() == 0
    enqueues.stop()


def test_a_stop_closes_the_connection_of_a_notice_that_is_being_sent(
    prepared_postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop waits for the sender, so that no connection stays open."""
    _works, enqueues, _called = _pair(prepared_postgresql_url)
    order: list[str] = []
    send, dispose = PostgreSQLNotifier.send_notice, enqueues.store.dispose
    sending, stopping = threading.Event(), threading.Event()

    def send_slowly(self: PostgreSQLNotifier, engine: Engine, sender: str) -> None:
        with engine.connect():
            sending.set()
            stopping.wait(0.3)
        send(self, engine, sender)
        order.append("sent")

    def close() -> None:
        order.append("closed")
        dispose()
        stopping.set()

    monkeypatch.setattr(PostgreSQLNotifier, "send_notice", send_slowly)
    monkeypatch.setattr(enqueues.store, "dispose", close)
    enqueues.enqueue("call")
    assert sending.wait(30)
    enqueues.stop()
    assert order == ["sent", "closed"]


def _listeners(scheduler: Scheduler) -> int:
    with scheduler.store.engine.connect() as conn:
        held: int = conn.exec_driver_sql(
            "select count(*) from pg_stat_activity"
            " where query ilike 'listen %%' and datname = current_database()"
        ).scalar_one()
    return held
