"""A `Run` for unit tests of functions that take one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duly.clock import SystemClock, aware_utc
from duly.context import Run
from duly.model.identity import new_id
from duly.model.run import Cause


@dataclass(slots=True)
class Facts:
    """See `RunFacts`."""

    id: str
    job_id: str | None
    task: str
    queue: str
    scheduled_for: datetime | None
    due_at: datetime
    cause: Cause
    attempt: int
    max_attempts: int
    started_at: datetime


def make_run(
    *,
    id: str | None = None,
    job_id: str | None = None,
    task: str = "task",
    queue: str = "default",
    scheduled_for: datetime | None = None,
    cause: Cause | None = None,
    attempt: int = 1,
    max_attempts: int | None = None,
    now: datetime | None = None,
    previous_success: datetime | None = None,
    cancelled: bool = False,
    session: Any = None,
    connection: Any = None,
) -> Run:
    """Return a `Run` for a unit test of a function that takes one: ``remind(7, run=make_run())``.

    Nothing is stored. The test can read what the function reports in `Run.counters` and
    `Run.reported`; what it logs goes to the logger ``duly.run``.

    Args:
        id: the run's id; default: a new one.
        job_id: the id of its job, if it has one.
        task: the name of its task.
        queue: the name of its queue.
        scheduled_for: its nominal time.
        cause: why it was created; default: ``schedule`` with a nominal time, otherwise ``enqueue``.
        attempt: the number of this attempt.
        max_attempts: the number of attempts after which it fails; default: ``attempt``.
        now: what `Run.now` returns; default: the present.
        previous_success: when its job last succeeded.
        cancelled: whether the function should stop.
        session: what `Run.session` returns.
        connection: what `Run.connection` returns.

    Raises:
        NaiveDatetimeError: a datetime has no time zone.
    """
    moment = SystemClock().now() if now is None else aware_utc(now, "now=")
    nominal = None if scheduled_for is None else aware_utc(scheduled_for, "scheduled_for=")
    facts = Facts(
        id=new_id() if id is None else id,
        job_id=job_id,
        task=task,
        queue=queue,
        scheduled_for=nominal,
        due_at=nominal or moment,
        cause=cause or ("enqueue" if nominal is None else "schedule"),
        attempt=attempt,
        max_attempts=attempt if max_attempts is None else max_attempts,
        started_at=moment,
    )
    run = Run(facts, lambda: moment, lambda _facts: previous_success)
    run.given_session = session
    run.given_connection = connection
    if cancelled:
        run.request_stop()
    return run
