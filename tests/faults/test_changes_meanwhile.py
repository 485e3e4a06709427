"""A call and a change of what it depends on, in two transactions at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from duly import Scheduler, VirtualClock, cron
from duly.errors import CalendarInUse, DulyError
from duly.triggers import dates
from tests.operations.conftest import with_tasks

NAMED = cron("0 9 * * *").excluding("feasts")


def feast(day: int) -> Any:
    return dates(date(2026, 1, day))


def nine(day: int) -> datetime:
    return datetime(2026, 1, day, 9, tzinfo=UTC)


@pytest.fixture(params=["postgresql", "mariadb"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[Scheduler]:
    """A scheduler on each database with more than one writer."""
    url = request.getfixturevalue(f"prepared_{request.param}_url")
    made = with_tasks(Scheduler(url, clock=VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))))
    made.prepare()
    made.set_calendar("feasts", feast(6))
    yield made
    made.stop(grace=0)
    made.store.dispose()


def beside(
    scheduler: Scheduler, first: Callable[[Session], Any], second: Callable[[], Any]
) -> list[Any]:
    """Call ``first`` in a session, ``second`` in a thread while that is open, and commit it.

    Return what ``second`` returned or raised.
    """
    outcome: list[Any] = []
    ended = threading.Event()

    def work() -> None:
        try:
            outcome.append(second())
        except DulyError as error:
            outcome.append(error)
        ended.set()

    engine = create_engine(scheduler.store.url, isolation_level="READ COMMITTED")
    with Session(engine) as session:
        first(session)
        thread = threading.Thread(target=work)
        thread.start()
        waits = not ended.wait(0.3)
        session.commit()
    thread.join(240)
    engine.dispose()
    assert waits, f"it did not wait for the open transaction: {outcome}"
    return outcome


def test_E18_a_job_follows_a_calendar_that_changes_while_the_job_is_stored(
    scheduler: Scheduler,
) -> None:
    """The change waits until the job is committed, and moves it."""
    outcome = beside(
        scheduler,
        lambda session: scheduler.add("work", NAMED, id="j", session=session),
        lambda: scheduler.set_calendar("feasts", feast(1)),
    )
    assert outcome == [["j"]]
    assert scheduler.job("j").next_fire_at == nine(2)


def test_E18_a_job_is_stored_with_the_calendar_that_was_just_changed(scheduler: Scheduler) -> None:
    """The job waits until the change is committed, and follows it from the beginning."""
    beside(
        scheduler,
        lambda session: scheduler.set_calendar("feasts", feast(1), session=session),
        lambda: scheduler.add("work", NAMED, id="j"),
    )
    assert scheduler.job("j").next_fire_at == nine(2)


def test_E18_a_calendar_is_not_removed_under_a_job_that_is_being_stored(
    scheduler: Scheduler,
) -> None:
    """The removal waits until the job is committed, and is refused then."""
    (outcome,) = beside(
        scheduler,
        lambda session: scheduler.add("work", NAMED, id="j", session=session),
        lambda: scheduler.remove_calendar("feasts"),
    )
    assert isinstance(outcome, CalendarInUse)
    assert list(scheduler.calendars()) == ["feasts"]


def test_E18_a_run_by_hand_calls_the_task_that_its_job_has_now(scheduler: Scheduler) -> None:
    """A job that is replaced meanwhile runs with its new task and its new arguments."""
    scheduler.add("work", NAMED, id="j", args={"n": 1})
    (run,) = beside(
        scheduler,
        lambda session: scheduler.add("fail", NAMED, id="j", replace=True, session=session),
        lambda: scheduler.run_now("j"),
    )
    assert (run.task, run.args) == ("fail", {})
