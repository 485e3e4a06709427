"""The status of the whole scheduler, and the health of this process."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal

from duly import forking
from duly.errors import DatabaseUnavailable, DulyError
from duly.model.finding import Finding
from duly.model.record import Record, SafeText, record
from duly.model.worker import WorkerRecord
from duly.operations import problems
from duly.operations.core import Core
from duly.store import control, jobs, totals
from duly.store import workers as worker_rows
from duly.worker.loop import State

STUCK_AFTER_S = 30.0
"""The age of the worker's last step from which this process is not healthy."""


@record
class QueueStatus(Record):
    """A queue: whether it is paused, by whom and why, and its limits over all workers.

    Attributes:
        name: its name.
        paused: whether it is paused.
        paused_by: the actor who paused it.
        paused_reason: the reason that was given for the pause.
        max_running: the number of its runs that may run at once; ``None``: no limit.
        rate: the number that may start in ``per`` seconds; ``None``: no limit.
        per: the period of ``rate``, in seconds.
    """

    name: str
    paused: bool = False
    paused_by: str | None = None
    paused_reason: SafeText | None = None
    max_running: int | None = None
    rate: int | None = None
    per: float | None = None


@record
class Status(Record):
    """The whole scheduler at one instant.

    Counting stops at 10,000, so that it takes no longer with many jobs and runs: a larger number is
    reported as 10,000.

    Attributes:
        at: that instant, by the scheduler's clock.
        running: whether this process's worker is registered.
        stopped: whether the scheduler is switched off in all workers.
        worker_id: this process's worker, if it is registered.
        jobs: the number of jobs in each state.
        live: the number of runs that are scheduled, ready and running.
        last_day: the number of runs of the last 24 hours in each state; of those that succeeded or
            are unfinished, only the ones among the newest 5,000 runs are counted.
        dead: the number of dead letters: failed runs that were neither retried nor discarded.
        workers: all known workers, oldest first.
        queues: all known queues, by name.
        switch: who switched the scheduler off, when and why; ``None`` if it is switched on.
        problems: what is wrong with the scheduler as a whole, the gravest first.
    """

    at: datetime
    running: bool
    stopped: bool
    worker_id: str | None
    jobs: dict[str, int]
    live: dict[str, int]
    last_day: dict[str, int]
    dead: int
    workers: list[WorkerRecord] = field(default_factory=list)
    queues: list[QueueStatus] = field(default_factory=list)
    switch: control.Stopped | None = None
    problems: list[Finding] = field(default_factory=list)


@record
class Health(Record):
    """Whether the scheduler of this process works.

    Attributes:
        ok: whether the worker of this process is running, and its last successful step is recent.
            In a process that was prepared but not started (``init_app(start=False)``), whether the
            database responds. Problems of the scheduler as a whole do not count: a restart of this
            process would not solve them.
        database: ``ok``, ``unreachable``, or ``unusable`` (its tables are missing or too new).
        engine: ``stopped``, ``starting``, ``running`` or ``stopping``.
        detail: a description of the problem, if there is one.
        last_tick_age: seconds since the worker's last successful step.
        problems: what is wrong with the scheduler as a whole, the gravest first: jobs that no
            worker fires, a queue that none serves, the scheduler switched off, a process job that
            fails, …
    """

    ok: bool
    database: Literal["ok", "unreachable", "unusable"]
    engine: State
    detail: SafeText | None = None
    last_tick_age: float | None = None
    problems: list[Finding] = field(default_factory=list)


def status(core: Core, *, brief: bool = False) -> Status:
    """Return the status of the whole scheduler: switch, counts, workers and queues.

    Args:
        brief: whether to leave out what takes several queries: then ``jobs``, ``live``,
            ``last_day`` and ``problems`` are empty, and ``dead`` is 0.
    """
    worker_id = core.worker.worker_id
    with core.store.read() as conn:
        now = core.store.time.now()
        known = problems.worker_records(core, worker_rows.all_rows(conn))
        stored, switch = control.queues(conn), control.stopped(conn)
        names = {*core.settings.queues, *stored}.union(*(worker.queues for worker in known))
        return Status(
            at=now,
            running=worker_id is not None,
            stopped=switch is not None,
            switch=switch,
            worker_id=worker_id,
            jobs={} if brief else jobs.count_by_state(conn),
            live={} if brief else totals.live_by_state(conn),
            last_day={} if brief else totals.by_state_since(conn, now - timedelta(days=1)),
            dead=0 if brief else totals.failed(conn),
            workers=known,
            queues=[_queue_status(name, stored.get(name)) for name in sorted(names)],
            problems=[] if brief else problems.find(core, conn),
        )


def health(core: Core) -> Health:
    """Return whether the scheduler of this process works; it does not raise if it does not."""
    worker = core.worker
    tick = worker.last_tick
    age = None if tick is None else core.clock.monotonic() - tick
    try:
        with core.store.read() as conn:
            found = problems.find(core, conn)
    except DatabaseUnavailable as error:
        return Health(False, "unreachable", core.state, str(error), age)
    except DulyError as error:
        return Health(False, "unusable", core.state, str(error), age)
    stuck = age is not None and age > STUCK_AFTER_S
    detail = worker.trouble or (f"no step for {age:.0f} s" if stuck else None)
    waited = worker.starting_for
    if detail is None and waited is not None and waited > STUCK_AFTER_S:
        detail = f"the worker has not taken its first step in {waited:.0f} s"
        library = forking.patched_by()
        if library is not None:
            detail += f", perhaps because {library} replaced this process's threads after the start"
    ok = (core.state == "running" or core.leaves_work) and detail is None
    if detail is None and found:
        detail = str(found[0])
    return Health(ok, "ok", core.state, detail, age, found)


def _queue_status(name: str, row: Any) -> QueueStatus:
    if row is None:
        return QueueStatus(name)
    return QueueStatus(
        name=name,
        paused=row.paused_at is not None,
        paused_by=row.paused_by,
        paused_reason=row.paused_reason,
        max_running=row.max_running,
        rate=row.rate,
        per=row.rate_period,
    )
