"""What a running function may ask and tell: the `Run` it receives."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Any, Generic, Protocol, TypeVar

from duly.errors import LeaseLost, LifecycleError, RunSignal
from duly.hooks import Injected
from duly.model.run import Cause, LogLine, Progress
from duly.model.text import safe_repr, safe_str, storable_text

T = TypeVar("T")
MAX_LINES = 1000
MAX_LOG_BYTES = 256 * 1024
LONGEST_LINE = 16_000
LARGEST = 2**63 - 1
"""What a database's integer holds."""

log = logging.getLogger("duly.run")
current_run: ContextVar[Run | None] = ContextVar("duly_current_run", default=None)


class RunFacts(Protocol):
    """The stored facts that a `Run` shows."""

    id: str
    job_id: str | None
    task: str
    scheduled_for: datetime | None
    due_at: datetime
    cause: Cause
    attempt: int
    max_attempts: int
    started_at: datetime


class RunLog:
    """Captured log lines of one run, bounded to 1,000 lines and 256 KiB."""

    __slots__ = ("_count", "_lines", "_lock", "_size", "dropped")

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._size = 0
        self._count = 0
        self.dropped = 0
        self._lock = threading.Lock()

    def add(self, line: LogLine) -> None:
        """Keep a line, or count it as dropped once the bounds are reached."""
        line = replace(line, message=storable_text(line.message, LONGEST_LINE))
        size = len(line.message.encode())
        with self._lock:
            if self._count == MAX_LINES or self._size + size > MAX_LOG_BYTES:
                self.dropped += 1
            else:
                self._size += size
                self._count += 1
                self._lines.append(line)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._lines

    def take(self) -> list[LogLine]:
        """The lines that nobody has taken yet."""
        with self._lock:
            lines, self._lines = self._lines, []
            return lines


class Run(Injected):
    """The run that is being executed, given to a function that annotates a parameter with it.

    Attributes:
        id: the run's id; also its `idempotency_key`, the same in every attempt.
        job_id: the job it belongs to; ``None`` for an enqueued call.
        scheduled_for: the nominal time; ``None`` outside a schedule.
        attempt: 1 for the first try.
        log: a logger whose lines are stored with the run.
    """

    _captured: RunLog | None = None

    def __init__(
        self,
        facts: RunFacts,
        now: Callable[[], datetime],
        previous_success: Callable[[RunFacts], datetime | None],
    ) -> None:
        self._facts = facts
        self.id = facts.id
        self.job_id = facts.job_id
        self.task = facts.task
        self.scheduled_for = facts.scheduled_for
        self.due_at = facts.due_at
        self.cause = facts.cause
        self.attempt = facts.attempt
        self.max_attempts = facts.max_attempts
        self.started_at = facts.started_at
        self.log: logging.Logger = log
        self._counters: dict[str, int] = {}
        self.reported: Progress | None = None
        self.lease_lost = False
        self.given_session: Any = None
        self._now = now
        self._previous_success = previous_success
        self._cancelled = False

    @property
    def idempotency_key(self) -> str:
        """A key that stays the same when the run is tried again."""
        return self.id

    @property
    def previous_success(self) -> datetime | None:
        """When the job's last successful run before this one ended; asks the database."""
        return self._previous_success(self._facts)

    @property
    def cancelled(self) -> bool:
        """Whether the function should stop: cancelled, timed out, shutting down, or lease lost."""
        return self._cancelled or self.lease_lost

    @property
    def captured(self) -> RunLog:
        """What it has logged; made for the first line, in whatever thread that comes."""
        held: RunLog = vars(self).setdefault("_captured", RunLog())
        return held

    @property
    def told_nothing(self) -> bool:
        """Whether there are neither counters nor progress, and no line was dropped."""
        logged: RunLog | None = self._captured
        return self.reported is None and not self._counters and not (logged and logged.dropped)

    @property
    def logged(self) -> bool:
        """Whether there are log lines that nobody has taken yet."""
        return self._captured is not None and not self._captured.empty

    @property
    def counters(self) -> Mapping[str, int]:
        """What `count` and `track` have counted so far; to be read only."""
        return MappingProxyType(self._counters)

    def now(self) -> datetime:
        """The present instant on the scheduler's clock, aware UTC."""
        return self._now()

    def session(self) -> Any:
        """The session of a transactional run, which the engine commits together with the run.

        Raises:
            LifecycleError: the task is not transactional.
        """
        if self.given_session is None:
            raise LifecycleError(
                f"task {self.task!r} has no session; declare it with transactional=True"
            )
        return self.given_session

    def start_over(self) -> None:
        """Forget progress and counters of a try that was rolled back; used by the engine."""
        self._counters.clear()
        self.reported = None

    def forget_reports(self) -> None:
        """Drop progress, counters and log lines, which could not be stored; used by the engine."""
        self.reported = None
        self._counters.clear()
        self.captured.take()

    def tell_all(self, reported: Progress | None, counters: Mapping[str, int]) -> None:
        """Take over what the function has told in another process; used by the engine."""
        self.reported = reported
        self._counters.update(counters)

    def request_stop(self) -> None:
        """Ask the function to stop; used by the engine."""
        self._cancelled = True

    def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Say how far the work is; stored about once a second.

        Args:
            done: units finished.
            total: units in all, when known.
            note: a few words, cut at 200 characters.

        Raises:
            TypeError: what is no number, or a note that is no text.
            ValueError: NaN or infinity.
        """
        if note is not None and not isinstance(note, str):
            raise TypeError(f"the note of progress is text, not {type(note).__name__}")
        held = storable_text(note[:200], 200) if note else None
        self.reported = Progress(_number(done), None if total is None else _number(total), held)

    def count(self, **counters: int) -> None:
        """Add to named counters; they are stored with the run.

        Raises:
            TypeError: an amount that is no whole number.
        """
        for name, amount in counters.items():
            self._counters[name] = _bounded(self._counters.get(name, 0) + _whole(name, amount))

    def track(self, rows: Iterable[T], *, total: int | None = None) -> Iterator[Item[T]]:
        """Go through rows so that one bad row does not stop the others.

        ``for item in run.track(rows): with item as row: ...``: an error inside the ``with`` is
        logged and counted as ``failed``, else the row is counted as ``ok``; progress follows. The
        loop ends early when the run is cancelled.

        Args:
            rows: anything to iterate.
            total: how many; default: ``len(rows)`` where it has one.
        """
        if total is None and isinstance(rows, Sized):
            total = len(rows)
        for done, row in enumerate(rows):
            if self.cancelled:
                return
            yield Item(self, row)
            self.progress(done + 1, total)


class Item(Generic[T]):
    """One row of `Run.track`."""

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
        raise TypeError(f"counter {name!r} takes a whole number, not a {type(amount).__name__}")
    return amount


def _number(value: object) -> int:
    if not isinstance(value, int | float):
        raise TypeError(f"progress is told in numbers, not in a {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"progress cannot be {value}")
    return _bounded(int(value))


def _bounded(number: int) -> int:
    return max(-LARGEST, min(number, LARGEST))
