"""The log of one run: the lines that are stored with it, and the logger that adds to them."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from copy import copy
from typing import Any, Protocol

from duly.model.run import LogLine
from duly.model.text import safe_repr, safe_str, storable_text

MAX_LINES = 1000
MAX_LOG_BYTES = 256 * 1024
LONGEST_LINE = 16_000
RUN_FIELDS = ("duly_run", "duly_job", "duly_task", "duly_queue", "duly_attempt")
"""The fields of log records about a run: its id, its job's id or ``None``, and so on."""

HOST_LOGGER = "duly.run"
"""The logger through which `Run.log` reaches the handlers of the application."""


class RunLog:
    """The captured log lines of one run, at most 1,000 lines and 256 KiB.

    Attributes:
        dropped: the number of lines that were dropped because they exceed these limits.
    """

    __slots__ = ("_count", "_lines", "_lock", "_size", "dropped")

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._size = 0
        self._count = 0
        self.dropped = 0
        self._lock = threading.Lock()

    def add(self, line: LogLine) -> None:
        """Keep a line, or count it as dropped if it exceeds the limits."""
        line = line.replace(message=storable_text(line.message, LONGEST_LINE))
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
        """Whether `take` would return nothing."""
        return not self._lines

    def take(self) -> list[LogLine]:
        """Return the lines that were added since the last call."""
        with self._lock:
            lines, self._lines = self._lines, []
            return lines


class Stamped(Protocol):
    """What the fields of a log record are read from: a run, or the claim of one."""

    id: str
    job_id: str | None
    task: str
    queue: str
    attempt: int


class Logged(Stamped, Protocol):
    """A run that stores log records."""

    def capture(self, record: logging.LogRecord) -> None:
        """Store a record."""

    def shown(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record that the application's handlers receive."""


class RunLogger(logging.Logger):
    """The logger of one run: it stores lines with the run, whatever the host's settings are.

    It is not registered with `logging`, so that no configuration of the application disables it.
    Afterwards it passes each line to the logger ``duly.run`` of the host.
    """

    def __init__(self, run: Logged) -> None:
        super().__init__(HOST_LOGGER, logging.INFO)
        self._run = run
        self.parent = logging.getLogger(HOST_LOGGER)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - a method of logging.Logger
        """Return whether a line of this level is stored, or the host wants it."""
        return level >= self.level or self._host.isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Store a record with the run, and pass it to the host's handlers if it wants it."""
        kept: Any = self.filter(record) and self._host.filter(record)
        if not kept:
            return
        record = kept if isinstance(kept, logging.LogRecord) else record
        stamp(record, self._run)
        if record.levelno >= self.level:
            self._run.capture(record)
        if self._host.isEnabledFor(record.levelno):
            self.callHandlers(self._run.shown(record))

    @property
    def _host(self) -> logging.Logger:
        return self.parent or logging.root


def run_fields(run: Stamped) -> dict[str, Any]:
    """Return what the log lines about a run have as ``extra=``; the names are `RUN_FIELDS`."""
    values = (run.id, run.job_id, run.task, run.queue, run.attempt)
    return dict(zip(RUN_FIELDS, values, strict=True))


def stamp(record: logging.LogRecord, run: Stamped) -> None:
    """Add the fields of a run to a log record that lacks them."""
    for name, value in run_fields(run).items():
        vars(record).setdefault(name, value)


def without_secrets(record: logging.LogRecord, hide: Callable[[str], str]) -> logging.LogRecord:
    """Return a log record in which the values of secrets are hidden: itself, if it has none.

    An exception that has any is replaced by one of the same name, and its traceback by text.
    """
    text = text_of(record)
    fields = {
        name: value
        for name, value in vars(record).items()
        if isinstance(value, str) and hide(value) != value
    }
    if hide(text) == text and not fields:
        return record
    shown = copy(record)
    vars(shown).update({name: hide(value) for name, value in fields.items()})
    try:
        shown.msg, shown.args = hide(record.getMessage()), None
    except Exception:  # noqa: BLE001 - a foreign argument may raise anything
        shown.msg, shown.args = hide(text), None
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        shown.exc_text = hide("".join(traceback.format_exception(error)).rstrip())
        kind = type(type(error).__name__, (Exception,), {"__module__": "builtins"})
        shown.exc_info = (kind, kind(hide(safe_str(error, LONGEST_LINE))), None)
    return shown


def text_of(record: logging.LogRecord) -> str:
    """Return the message of a log record with its traceback, without changing the record.

    A formatter would store the text of the traceback in the record, where the formatters of the
    host would find it.
    """
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a foreign argument may raise anything
        text = f"{safe_repr(record.msg, 500)} (not formatted: {type(error).__name__})"
    parts = [text]
    if record.exc_info and record.exc_info[1] is not None:
        parts.append("".join(traceback.format_exception(record.exc_info[1])).rstrip())
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)
