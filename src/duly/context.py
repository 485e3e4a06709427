"""The `Run` that a function receives: the facts of its run, and its means to report."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Any, Generic, Protocol, TypeVar

from duly.errors import LeaseLost, LifecycleError, RunInterrupted, RunSignal
from duly.hooks import Injected
from duly.model.run import Cause, LogLine, Progress
from duly.model.secrets import Resolve, SecretValues, look_up
from duly.model.text import safe_repr, safe_str, storable_text
from duly.run_log import RunLog, RunLogger, text_of, without_secrets

T = TypeVar("T")
LARGEST = 2**63 - 1
"""The largest number that every database stores as an integer."""

INTERRUPTED = "the run must stop: see Run.cancelled"
current_run: ContextVar[Run | None] = ContextVar("duly_current_run", default=None)


class RunFacts(Protocol):
    """The stored facts that a `Run` shows."""

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


ABSENT: Any = object()
"""In place of resources that have not been opened; an application may provide ``None``."""


class Provided:
    """What the application provides to the runs of this process.

    Attributes:
        app: the web application, if there is one.
        resources: what the context manager ``Scheduler(resources=…)`` has returned.
        secrets: returns the value of a secret by its name.
    """

    app: Any = None
    resources: Any = ABSENT
    secrets: Resolve = os.environ.get


NOTHING_PROVIDED = Provided()


class Run(Injected):
    """The run that is being executed. A function receives it by annotating a parameter with `Run`.

    Attributes:
        id: the run's id, the same in every attempt.
        job_id: the id of its job; ``None`` for an enqueued call.
        task: the name of the task that is executed.
        queue: the name of the queue that it belongs to.
        scheduled_for: the nominal time that it runs for, aware UTC; ``None`` outside a schedule.
        due_at: the earliest time at which it could start, aware UTC.
        cause: why it was created, for example ``schedule``, ``manual`` or ``enqueue``.
        attempt: the number of this attempt, from 1.
        max_attempts: the number of attempts after which it fails permanently.
        started_at: when this attempt was claimed, aware UTC.
    """

    _captured: RunLog | None = None
    _secret_values: SecretValues | None = None
    _log: RunLogger | None = None

    def __init__(
        self,
        facts: RunFacts,
        now: Callable[[], datetime],
        previous_success: Callable[[RunFacts], datetime | None],
        provided: Provided = NOTHING_PROVIDED,
    ) -> None:
        self._facts = facts
        self.id = facts.id
        self.job_id = facts.job_id
        self.task = facts.task
        self.queue = facts.queue
        self.scheduled_for = facts.scheduled_for
        self.due_at = facts.due_at
        self.cause = facts.cause
        self.attempt = facts.attempt
        self.max_attempts = facts.max_attempts
        self.started_at = facts.started_at
        self._counters: dict[str, int] = {}
        self.reported: Progress | None = None
        self.lease_lost = False
        self.given_session: Any = None
        self.given_connection: Any = None
        self._now = now
        self._previous_success = previous_success
        self._provided = provided
        self._cancelled = False

    @property
    def idempotency_key(self) -> str:
        """A key that is the same in every attempt: give it to services that must not act twice."""
        return self.id

    @property
    def previous_success(self) -> datetime | None:
        """When the job's last successful run before this one ended; ``None`` if there is none.

        Each access queries the database.
        """
        return self._previous_success(self._facts)

    @property
    def app(self) -> Any:
        """The web application of this process; what it has opened is usually at ``run.app.state``.

        Raises:
            LifecycleError: the scheduler is not connected to an application in this process.
        """
        if self._provided.app is None:
            raise LifecycleError(
                "run.app: this process has no web application. Connect one with "
                "init_app(app, scheduler), and name the application instead of the scheduler to "
                "the command: duly run module:app. Tasks with executor='process' have none"
            )
        return self._provided.app

    @property
    def resources(self) -> Any:
        """What the context manager ``Scheduler(resources=…)`` returned in this process.

        Raises:
            LifecycleError: the scheduler was created without ``resources``, or the task has
                ``executor="process"``.
        """
        if self._provided.resources is ABSENT:
            raise LifecycleError(
                "run.resources: there are none. Create the scheduler with resources=, a function "
                "that returns a context manager, whose `with … as` value this is; tasks with "
                "executor='process' have none"
            )
        return self._provided.resources

    @property
    def cancelled(self) -> bool:
        """Whether the function must stop.

        True when the run is cancelled or has timed out, when the worker shuts down, and when it
        has lost its lease. Functions on threads cannot be interrupted: they should call `check`
        regularly. A function that reads this property and then returns has succeeded, however much
        it has done; to have the run given back, or recorded as cancelled, it must raise.
        """
        return self._cancelled or self.lease_lost

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines are stored with the run, up to 1,000 lines and 256 KiB.

        It works on every thread, and however the application configures logging. Lines below INFO
        are not stored, unless ``run.log.setLevel(logging.DEBUG)`` asks for them. The application's
        handlers receive the lines through the logger ``duly.run``, according to its level.
        """
        logger: RunLogger | None = self._log
        if logger is None:
            logger = vars(self).setdefault("_log", RunLogger(self))
        return logger

    @property
    def captured(self) -> RunLog:
        """The lines that the run has logged; created on first use, on any thread."""
        captured: RunLog = vars(self).setdefault("_captured", RunLog())
        return captured

    @property
    def secret_values(self) -> SecretValues:
        """The values of secrets that it has received; created on first use."""
        values: SecretValues | None = self._secret_values
        if values is None:
            values = vars(self).setdefault("_secret_values", SecretValues())
        return values

    @property
    def has_secrets(self) -> bool:
        """Whether it has received secrets."""
        return self._secret_values is not None

    def resolve_secret(self, name: str) -> str:
        """Return the value of a secret, which is hidden from now on in what the run leaves behind.

        Raises:
            SecretError: there is none.
        """
        value = look_up(name, self._provided.secrets)
        self.secret_values.add(value)
        return value

    @property
    def secret_source(self) -> Resolve:
        """Returns the value of a secret by its name; used by executors."""
        return self._provided.secrets

    def hide(self, text: str) -> str:
        """Return text in which the values of its secrets are hidden."""
        return text if self._secret_values is None else self._secret_values.hide(text)

    @property
    def reported_nothing(self) -> bool:
        """Whether there are no counters and no progress, and no log line was dropped."""
        logged: RunLog | None = self._captured
        return self.reported is None and not self._counters and not (logged and logged.dropped)

    @property
    def has_new_lines(self) -> bool:
        """Whether there are log lines that have not been taken yet."""
        return self._captured is not None and not self._captured.empty

    @property
    def counters(self) -> Mapping[str, int]:
        """The counters that `count` and `track` have added to so far, as a read-only copy."""
        return MappingProxyType(self._counters.copy())

    def now(self) -> datetime:
        """Return the current time of the scheduler's clock, aware UTC."""
        return self._now()

    def session(self) -> Any:
        """Return the session of a transactional run, which is committed together with the run.

        Raises:
            LifecycleError: the task is not transactional.
        """
        if self.given_session is None:
            raise LifecycleError(
                f"task {self.task!r} has no session; declare the task with transactional=True"
            )
        return self.given_session

    def connection(self) -> Any:
        """Return the database driver's own connection of a transactional run.

        It is the connection of `session`, in the same transaction, for functions that use no
        SQLAlchemy: a ``sqlite3.Connection``, ``psycopg.Connection`` or
        ``pymysql.connections.Connection`` whose ``commit()``, ``rollback()`` and ``close()`` raise
        `TransactionError`, because the worker commits it together with the run.

        Raises:
            LifecycleError: the task is not transactional, or is a coroutine function.
        """
        if self.given_connection is None:
            raise LifecycleError(
                f"task {self.task!r} has no connection of the driver; declare a plain function "
                "(not async def) with transactional=True. A coroutine function asks for an "
                "AsyncSession"
            )
        return self.given_connection

    def start_over(self) -> None:
        """Drop the progress and counters of a try that was rolled back; used by the worker."""
        self._counters.clear()
        self.reported = None

    def forget_reports(self) -> None:
        """Drop progress, counters and log lines that cannot be stored; used by the worker."""
        self.reported = None
        self._counters.clear()
        self.captured.take()

    def capture(self, record: logging.LogRecord) -> None:
        """Store a log record with the run; used by its logger and by the capture of others."""
        level, name = str(record.levelname), str(record.name)
        self.captured.add(LogLine(self.now(), level, name, self.hide(text_of(record))))

    def shown(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a log record for the handlers of the application: without values of secrets."""
        return record if self._secret_values is None else without_secrets(record, self.hide)

    def apply_report(self, reported: Progress | None, counters: Mapping[str, int]) -> None:
        """Apply what the function has reported in another process; used by executors."""
        self.reported = reported
        self._counters.update(counters)

    def request_stop(self) -> None:
        """Make `cancelled` true; used by the worker."""
        self._cancelled = True

    def check(self) -> None:
        """End the function here if the run must stop; call it between two units of work.

        Raises:
            RunInterrupted: the run must stop; see `cancelled`. When the worker is shutting down,
                the run is given back, and starts again without having used up an attempt.
        """
        if self.cancelled:
            raise RunInterrupted(INTERRUPTED)

    def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Report progress; the latest report is stored about once a second.

        Args:
            done: the number of finished units.
            total: the total number of units, if it is known.
            note: a short text for the dashboard, cut at 200 characters.

        Raises:
            TypeError: ``done`` or ``total`` is not a number, or ``note`` is not text.
            ValueError: ``done`` or ``total`` is NaN or infinite.
        """
        if note is not None and not isinstance(note, str):
            raise TypeError(f"the note of progress must be text, not {type(note).__name__}")
        text = storable_text(self.hide(note)[:200], 200) if note else None
        self.reported = Progress(_number(done), None if total is None else _number(total), text)

    def count(self, **counters: int) -> None:
        """Add to named counters, which are stored with the run: ``run.count(sent=3)``.

        Raises:
            TypeError: an amount is not an integer.
        """
        for given, amount in counters.items():
            name = self.hide(given)
            self._counters[name] = _bounded(self._counters.get(name, 0) + _whole(name, amount))

    def track(self, rows: Iterable[T], *, total: int | None = None) -> Iterator[Item[T]]:
        """Iterate over rows such that one bad row does not stop the others.

        ``for item in run.track(rows): with item as row: ...``: an error inside the ``with`` block
        is logged and counted as ``failed``; otherwise the row is counted as ``ok``. Progress is
        reported after each row. `check` is called before each row.

        In a transactional function, ``with item as row, session.begin_nested(): ...`` also undoes
        what a bad row did before its error; otherwise that is committed with the rest.

        Args:
            rows: any iterable.
            total: the number of rows; default: ``len(rows)`` if it has a length.

        Raises:
            RunInterrupted: the run must stop before the next row.
        """
        if total is None and isinstance(rows, Sized):
            total = len(rows)
        for done, row in enumerate(rows):
            self.check()
            yield Item(self, row)
            self.progress(done + 1, total)


class Item(Generic[T]):
    """One row of `Run.track`: a context manager that isolates the errors of its block."""

    def __init__(self, run: Run, row: T) -> None:
        self._run = run
        self._row = row

    def __enter__(self) -> T:
        return self._row

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            self._run.count(ok=1)
            return False
        if not isinstance(error, Exception) or isinstance(error, RunSignal | LeaseLost):
            return False
        self._run.count(failed=1)
        what, why = safe_repr(self._row, 200), safe_str(error, 2_000)
        self._run.log.error("item %s failed: %s", what, why, exc_info=error)
        return True


def _whole(name: str, amount: object) -> int:
    if not isinstance(amount, int):
        raise TypeError(f"counter {name!r} takes an integer, not {type(amount).__name__}")
    return int(amount)


def _number(value: object) -> int:
    if not isinstance(value, int | float):
        raise TypeError(f"progress must be a number, not {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"progress cannot be {value}")
    return _bounded(int(value))


def _bounded(number: int) -> int:
    return max(-LARGEST, min(number, LARGEST))
