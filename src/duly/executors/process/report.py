"""The messages about a run between its worker and the child process that executes it."""

from __future__ import annotations

import logging
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duly.context import Provided, Run, current_run
from duly.executors.base import Invocation
from duly.executors.process.lookup import check_function, find_object
from duly.executors.process.wire import Message
from duly.model.run import Cause, LogLine, Progress
from duly.model.secrets import look_up, names_in
from duly.run_log import stamp


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


_INSTANTS = ("scheduled_for", "due_at", "started_at")


def call_message(invocation: Invocation) -> Message:
    """Return everything that a child process must know to execute a call.

    Raises:
        ConfigurationError: the process would find another function.
    """
    function, run = invocation.function, invocation.run
    check_function(function, run.task)
    facts: dict[str, Any] = {name: getattr(run, name) for name in Facts.__slots__}
    facts |= {name: facts[name] and facts[name].isoformat() for name in _INSTANTS}
    return {
        "module": function.__module__, "name": function.__qualname__, "args": invocation.text,
        "facts": facts, "now": run.now().isoformat(), "level": logging.getLogger().level,
        "traceparent": None if invocation.span is None else invocation.span.traceparent,
        "secrets": _secret_source(run, invocation.text),
    }  # fmt: skip


def _secret_source(run: Run, arguments: str) -> Any:
    """Return where the child finds the secrets of a run: ``None``: in its environment.

    A function that the child can import is called there. Of any other, such as a method, the values
    are sent.

    Raises:
        SecretError: there is no such secret.
    """
    names, source = names_in(arguments), run.secret_source
    if not names or source is Provided.secrets:
        return None
    module, name = getattr(source, "__module__", None), getattr(source, "__qualname__", "<")
    with suppress(ImportError, AttributeError, ValueError):
        if module not in (None, "__main__") and find_object(module, name) is source:
            return [module, name]
    return {name: look_up(name, source) for name in names}


def provided_by(message: Message) -> Provided:
    """Return what the child provides to the run that a call message is about."""
    source, provided = message["secrets"], Provided()
    if isinstance(source, dict):
        provided.secrets = source.get
    elif source is not None:
        provided.secrets = find_object(*source)
    return provided


def facts_of(message: Message) -> Facts:
    """Return the facts of the run that a call message is about."""
    facts = dict(message["facts"])
    facts |= {name: facts[name] and datetime.fromisoformat(facts[name]) for name in _INSTANTS}
    return Facts(**facts)


def report_of(run: Run) -> Message:
    """Return what a run has reported and logged; each log line is reported once.

    A line that handlers of this process have written already is marked: the application configured
    logging when its modules were imported here.
    """
    progress = run.reported
    return {
        "progress": None if progress is None else [progress.done, progress.total, progress.note],
        "counters": dict(run.counters),
        "log": [
            [*_line(line), logging.getLogger(line.logger).hasHandlers()]
            for line in run.captured.take()
        ],
        "dropped": run.captured.dropped,
    }


def _line(line: LogLine) -> list[str]:
    return [line.at.isoformat(), line.level, line.logger, line.message]


def apply_report(run: Run, report: Message) -> None:
    """Apply what the child process has reported to the worker's copy of the run.

    Log lines also reach the handlers of this process.
    """
    progress = report["progress"]
    run.apply_report(None if progress is None else Progress(*progress), report["counters"])
    for at, level, logger, message, written in report["log"]:
        run.captured.add(LogLine(datetime.fromisoformat(at), level, logger, message))
        if not written:
            with suppress(Exception):  # a handler of the host must not end the run
                Context().run(_log, run, level, logger, message)  # in which no run is current
    run.captured.dropped = max(run.captured.dropped, report["dropped"])


def _log(run: Run, level_name: str, name: str, message: str) -> None:
    logger = logging.getLogger(name)
    level = logging.getLevelNamesMapping().get(level_name, logging.INFO)
    if logger.isEnabledFor(level):
        record = logger.makeRecord(name, level, "(process)", 0, message, (), None)
        stamp(record, run)
        logger.handle(record)


class LastResort(logging.Handler):
    """Replaces Python's last resort in a child: the worker writes the lines of a run."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._original = logging.lastResort

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record that belongs to no run, as Python does."""
        if current_run.get() is None and self._original is not None:
            self._original.handle(record)
