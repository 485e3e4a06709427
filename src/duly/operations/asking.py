"""Asking what there is and how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from duly.errors import ConfigurationError, DatabaseUnavailable, DulyError
from duly.model.checks import instant
from duly.model.event import Event, check_kind
from duly.model.identity import is_id
from duly.model.job import JOB_STATES, JobRecord
from duly.model.run import RUN_STATES, AttemptRecord, LogLine, RunRecord
from duly.model.text import replace_unstorable
from duly.model.worker import WorkerRecord
from duly.operations import status as queries
from duly.operations.core import Wiring
from duly.store.history import EventFilter
from duly.store.jobs import JobFilter
from duly.store.runs import RunFilter

MAX_PAGE = 1000
LARGEST = 2**63 - 1
STALE_TICKS = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this process's scheduler works.

    Attributes:
        ok: the engine runs, and its last step succeeded a short while ago.
        database: ``ok``, ``unreachable``, or ``unusable`` (its tables are missing or too new).
        engine: ``stopped``, ``starting``, ``running`` or ``stopping``.
        detail: what is wrong, in words.
        last_tick_age: seconds since the engine's last successful step.
    """

    ok: bool
    database: str
    engine: str
    detail: str | None = None
    last_tick_age: float | None = None


class Asking(Wiring):
    """How one looks at the scheduler."""

    def jobs(
        self,
        *,
        tag: str | None = None,
        state: str | None = None,
        task: str | None = None,
        queue: str | None = None,
        text: str | None = None,
        failing: bool = False,
        order: Literal["id", "next_fire_at"] = "id",
        after: str | None = None,
        limit: int = 100,
    ) -> list[JobRecord]:
        """Jobs, each with its newest run; every filter given must hold.

        Args:
            tag: a tag that they carry.
            state: ``active``, ``paused``, ``finished`` or ``unresolved``.
            task: the task's name.
            queue: the queue's name.
            text: part of the id or of the task's name.
            failing: only those whose last runs failed.
            order: ``id``, or ``next_fire_at``: only jobs that fire again, soonest first.
            after: the last id of the page before, in the order of ids.
            limit: 1 to 1000.

        Raises:
            ConfigurationError: a state or an order that does not exist, or a limit out of range.
        """
        if state is not None and state not in JOB_STATES:
            raise ConfigurationError(f"{state!r} is no job state; known: {JOB_STATES}")
        if order not in ("id", "next_fire_at") or (after is not None and order != "id"):
            raise ConfigurationError(
                f"order={order!r}; give 'id' or, without after=, 'next_fire_at'"
            )
        size = _page_size(limit)
        wanted = JobFilter(
            tag, state, task, _asked(queue), _asked(text), after, size, failing, order
        )
        with self.store.read() as conn:
            return queries.list_jobs(conn, wanted)

    def runs(
        self,
        *,
        job: str | None = None,
        task: str | None = None,
        state: str | Sequence[str] | None = None,
        queue: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
        parent: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        """Runs, newest first; every filter given must hold.

        Args:
            job: the job's id.
            task: the task's name.
            state: one state or several.
            queue: the queue's name.
            tag: a tag that their job carries.
            since: made at this aware instant or later.
            until: made before this aware instant.
            text: part of the job's id, the task's name or the error.
            parent: the id of the run that they came after; skipped ones are among them.
            after: the last id of the page before.
            limit: 1 to 1000.

        Raises:
            ConfigurationError: a state that does not exist, a limit out of range, or an ``after``
                or ``parent`` that is no run's id.
        """
        for name in [state] if isinstance(state, str) else state or ():
            if name not in RUN_STATES:
                raise ConfigurationError(f"{name!r} is no run state; known: {RUN_STATES}")
        for name, value in (("after", after), ("parent", parent)):
            if value is not None and not is_id(value):
                raise ConfigurationError(f"{name}={value!r}; it must be the id of a run")
        wanted = RunFilter(
            job, task, state, _asked(queue), tag,
            None if since is None else instant("since", since),
            None if until is None else instant("until", until),
            _asked(text), after, _page_size(limit), parent,
        )  # fmt: skip
        with self.store.read() as conn:
            return queries.list_runs(conn, wanted)

    def run(self, run_id: str) -> RunRecord:
        """One run.

        Raises:
            RunNotFound: no such run.
        """
        with self.store.read() as conn:
            return queries.run(conn, run_id)

    def run_log(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[LogLine]:
        """What a run logged, oldest line first.

        Args:
            run_id: the run's id.
            after: the id of the last line of the page before.
            limit: 1 to 1000; ``None``: all lines, of which each attempt keeps a thousand.

        Raises:
            ConfigurationError: a limit out of range.
        """
        size = None if limit is None else _page_size(limit)
        with self.store.read() as conn:
            return queries.run_log(conn, run_id, _number(after), size)

    def attempts(self, run_id: str) -> list[AttemptRecord]:
        """A run's unsuccessful attempts, oldest first."""
        with self.store.read() as conn:
            return queries.attempts(conn, run_id)

    def missed(self, job_id: str, *, limit: int = 100) -> list[queries.MissedRange]:
        """The ranges of nominal times of a job that did not run, newest first."""
        with self.store.read() as conn:
            return queries.missed_ranges(conn, job_id, _page_size(limit))

    def next_fires(self, job_id: str, count: int = 10) -> list[datetime]:
        """The next nominal times of a job.

        Raises:
            JobNotFound: no such job.
        """
        with self.store.read() as conn:
            return queries.next_fires(queries.job(conn, job_id), _page_size(count))

    def workers(self) -> list[WorkerRecord]:
        """All workers that are known, oldest first."""
        with self.store.read() as conn:
            return queries.list_workers(conn)

    def events(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        kind: str | None = None,
        job: str | None = None,
        newest: bool = False,
        limit: int = 100,
    ) -> list[Event]:
        """The audit trail, oldest first.

        Args:
            after: only events with a higher id.
            before: only events with a lower id.
            newest: newest first instead.
            kind: one kind of event.
            job: one job's id.
            limit: 1 to 1000.
        """
        wanted = EventFilter(
            _number(after),
            None if before is None else _number(before),
            kind and check_kind(kind),
            job,
            newest,
            _page_size(limit),
        )
        with self.store.read() as conn:
            return queries.events(conn, wanted)

    def status(self) -> queries.Status:
        """The whole scheduler now: switches, counts, workers, queues."""
        running = self._engine.lease.worker_id or None
        with self.store.read() as conn:
            return queries.status(
                conn, self.store.time.now(), worker_id=running, queues=list(self.settings.queues)
            )

    def health(self) -> Health:
        """Whether this process's scheduler works; never raises for a database that is away."""
        engine = self._engine
        tick = engine.last_tick
        age = None if tick is None else self.clock.monotonic() - tick
        try:
            with self.store.read():
                database = "ok"
        except DulyError as error:
            away = isinstance(error, DatabaseUnavailable)
            problem = "unreachable" if away else "unusable"
            return Health(False, problem, engine.state, str(error), age)
        stuck = age is not None and age > STALE_TICKS
        detail = engine.trouble or (f"no step for {age:.0f} s" if stuck else None)
        ok = engine.state == "running" and detail is None
        return Health(ok, database, engine.state, detail, age)


def _asked(text: str | None) -> str | None:
    """What is looked for, such that every database takes it."""
    return None if text is None else replace_unstorable(text)


def _number(number: int) -> int:
    """The id of an event or a line, such that every database takes it."""
    return max(-LARGEST, min(number, LARGEST))


def _page_size(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise ConfigurationError(f"limit={limit}; it must be 1 to {MAX_PAGE}")
    return limit
