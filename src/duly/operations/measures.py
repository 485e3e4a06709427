"""What monitoring reads: the counts of the whole scheduler, and the load of this process."""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from datetime import datetime

from duly.hooks import Observer
from duly.model.record import Record, record
from duly.operations.core import Core
from duly.store import control, examination, jobs, outcomes, totals
from duly.store import workers as worker_rows


@record
class OutcomeCount(Record):
    """How many runs of a task in a queue have ended in one way.

    Attributes:
        task: the name of the task.
        queue: the queue.
        outcome: the state in which they ended, such as ``succeeded``.
        count: their number since the tables were created. It never falls: runs that retention has
            deleted stay counted, and a run that is retried manually counts again when it ends.
    """

    task: str
    queue: str
    outcome: str
    count: int


@record
class QueueCounts(Record):
    """What waits in a queue.

    Attributes:
        name: its name.
        ready: the number of runs that could start now; counting stops at 100,000.
        oldest_age: seconds since the first of them was due; ``None``: there is none. In a deeper
            queue, the first of the 100,000 that would start first.
        paused: whether the queue is paused.
    """

    name: str
    ready: int
    oldest_age: float | None = None
    paused: bool = False


@record
class Counts(Record):
    """The whole scheduler in numbers, as monitoring collects them; each process returns the same.

    Unless stated otherwise, counting stops at 10,000.

    Attributes:
        at: the instant, by the scheduler's clock.
        outcomes: how many runs have ended, by task, queue and outcome; without a bound. Each
            nominal time that was missed is counted, also if it is only recorded as part of a range.
        queues: all known queues, by name.
        unfinished: the number of runs that are ``scheduled``, ``ready`` and ``running``.
        jobs: the number of jobs in each state.
        failing_jobs: the number of jobs whose last run has failed.
        dead: the number of dead letters.
        workers: the number of workers that are ``alive``, ``draining`` and ``silent``: their lease
            has expired, and no other worker has removed them yet.
        stopped: whether the scheduler is switched off in all workers.
    """

    at: datetime
    outcomes: list[OutcomeCount]
    queues: list[QueueCounts]
    unfinished: dict[str, int]
    jobs: dict[str, int]
    failing_jobs: int
    dead: int
    workers: dict[str, int] = field(default_factory=dict)
    stopped: bool = False


@record
class Load(Record):
    """What occupies this process.

    Attributes:
        in_flight: the number of runs that it has claimed and not finished, by queue; some may wait
            for a slot.
        slots: the number of runs that it executes at once, by queue.
        connections: the number of database connections that it uses now.
    """

    in_flight: dict[str, int]
    slots: dict[str, int]
    connections: int


def counts(core: Core, *, brief: bool = False) -> Counts:
    """Return the numbers that monitoring collects about the whole scheduler.

    Every process returns the same: let one of them report it, and not the sum of all.

    Args:
        brief: whether to leave ``outcomes`` empty, which are as many as tasks, queues and ways to
            end together.
    """
    with core.store.read() as conn:
        now = core.store.time.now()
        ended = {} if brief else outcomes.totals(conn)
        known = control.queues(conn)
        workers: Counter[str] = Counter(alive=0, draining=0, silent=0)
        names = {*core.settings.queues, *known, *examination.ready_queues(conn)}
        for row in worker_rows.all_rows(conn):
            alive = "draining" if row.draining else "alive"
            workers[alive if row.lease_until > now else "silent"] += 1
        names |= {queue for _task, queue, _outcome in ended}
        paused = {name for name, row in known.items() if row.paused_at is not None}
        depths = totals.queue_depths(conn, sorted(names))
        unfinished = dict.fromkeys(("scheduled", "ready", "running"), 0)
        return Counts(
            at=now,
            outcomes=[OutcomeCount(*key, count) for key, count in sorted(ended.items())],
            queues=[
                QueueCounts(name, ready, _age(first, now), name in paused)
                for name, (ready, first) in depths.items()
            ],
            unfinished=unfinished | totals.live_by_state(conn),
            jobs=jobs.count_by_state(conn),
            failing_jobs=jobs.count_failing(conn),
            dead=totals.failed(conn),
            workers=dict(workers),
            stopped=control.stopped(conn) is not None,
        )


def load(core: Core) -> Load:
    """Return what occupies this process; it asks no database."""
    slots = dict(core.settings.queues)
    occupied = core.worker.load()
    return Load({name: occupied[name] for name in slots}, slots, core.store.connections_in_use)


def observe(core: Core, observer: Observer) -> None:
    """Report each attempt and each step of this process's worker to ``observer``.

    There is one observer: another call replaces it. `duly.observe.metrics` is made of this.

    Args:
        observer: an object with the methods of `duly.hooks.Observer`, which must be quick.
    """
    core.worker.observe(observer)


def _age(first: datetime | None, now: datetime) -> float | None:
    return None if first is None else max(0.0, (now - first).total_seconds())
