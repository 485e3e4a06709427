"""A database whose encoding lacks characters adapts the history of a run, never its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from duly import Discard, Retry, Run, Scheduler
from tests.support.postgresql import Databases
from tests.support.waiting import wait_until

ARROW = "50 € → 世界"
"""LATIN1 has none of these characters, except the digits."""

SHOWN = "50 \\u20ac \\u2192 \\u4e16\\u754c"


@pytest.fixture
def scheduler(postgres_databases: Databases) -> Iterator[Scheduler]:
    name = postgres_databases.create(template="template0", encoding="LATIN1")
    made = Scheduler(postgres_databases.server.url(name))
    yield made
    made.stop(grace=0)
    made.store.dispose()
    postgres_databases.drop(name)


def outcome(scheduler: Scheduler, function: Callable[..., Any], **options: Any) -> Any:
    """Execute a function, and return its run."""
    run_id = scheduler.enqueue(scheduler.task(name="work", **options)(function))
    scheduler.tick()
    return scheduler.run(run_id)


def lines(scheduler: Scheduler, run_id: str) -> list[str]:
    return [line.message for line in scheduler.run_log(run_id)]


@pytest.mark.parametrize("transactional", [False, True], ids=["plain", "transactional"])
def test_U24_a_line_that_cannot_be_stored_is_replaced(
    scheduler: Scheduler, transactional: bool
) -> None:
    """The run succeeds; characters that are missing are shown escaped, the others as they are."""

    def work(run: Run) -> str:
        run.log.warning("Grüße: %s", ARROW)
        run.progress(1, 2, ARROW)
        run.count(**{ARROW: 1})
        return ARROW

    def transact(run: Run, session: Session) -> str:
        return work(run)

    run = outcome(scheduler, transact if transactional else work, transactional=transactional)
    assert (run.state, run.error_message) == ("succeeded", None)
    assert lines(scheduler, run.id) == [f"Grüße: {SHOWN}"]
    assert run.progress is not None
    assert (run.progress.note, run.result, run.counters) == (SHOWN, ARROW, {ARROW: 1})


def test_U24_an_error_that_cannot_be_stored_is_retried_like_any_other(
    scheduler: Scheduler,
) -> None:
    """The retry policy decides, not the encoding of the message."""

    def work() -> None:
        raise LookupError(ARROW)

    run = outcome(scheduler, work, retry=Retry(attempts=3, wait=60))
    assert (run.state, run.attempt) == ("scheduled", 1)
    (attempt,) = scheduler.attempts(run.id)
    assert attempt.error_message == SHOWN
    assert "raise LookupError(ARROW)" in (attempt.traceback or "")


def test_U24_a_reason_that_cannot_be_stored_is_replaced(scheduler: Scheduler) -> None:
    """A discarded run stays discarded."""

    def work() -> None:
        raise Discard(ARROW)

    run = outcome(scheduler, work)
    assert (run.state, run.reason) == ("discarded", SHOWN)


def test_U24_lines_of_a_running_function_do_not_disturb_the_loop(scheduler: Scheduler) -> None:
    """What is reported while the function runs is adapted in the same way."""
    import threading

    leave = threading.Event()

    def work(run: Run) -> None:
        run.log.warning(ARROW)
        run.progress(1, 2, ARROW)
        leave.wait(240)

    run_id = scheduler.enqueue(scheduler.task(name="work")(work))
    scheduler.start()
    try:
        wait_until(lambda: lines(scheduler, run_id) == [SHOWN])
        assert scheduler.health().ok
    finally:
        leave.set()
    wait_until(lambda: scheduler.run(run_id).state == "succeeded")


def test_U24_whatever_else_a_database_refuses_costs_the_history_only(
    prepared_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log lines that are refused for any reason are given up, and the outcome stays."""
    from duly.errors import DataRefused
    from duly.store import completions

    add_log = completions.add_log

    def refuse(conn: Any, rows: Any) -> None:
        if rows:
            raise DataRefused("not these")
        add_log(conn, rows)

    monkeypatch.setattr(completions, "add_log", refuse)
    scheduler = Scheduler(prepared_database_url)

    def work(run: Run) -> None:
        run.log.warning("a line")
        raise LookupError("the function's own error")

    run = outcome(scheduler, work, retry=Retry(attempts=2, wait=60))
    assert run.state == "scheduled"
    (attempt,) = scheduler.attempts(run.id)
    assert attempt.error_message == "the function's own error"
    scheduler.stop()
    scheduler.store.dispose()
