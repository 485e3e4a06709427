"""The messages about a run between its worker and the child process that executes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duly.context import Run
from duly.executors.base import Invocation
from duly.executors.process.wire import Message
from duly.model.run import Cause, LogLine, Progress


@dataclass(slots=True)
class Facts:
    """See `RunFacts`."""

    id: str
    job_id: str | None
    task: str
    scheduled_for: datetime | None
    due_at: datetime
    cause: Cause
    attempt: int
    max_attempts: int
    started_at: datetime


_INSTANTS = ("scheduled_for", "due_at", "started_at")


def call_message(invocation: Invocation) -> Message:
    """Return everything that a child process must know to execute a call."""
    function, run = invocation.function, invocation.run
    facts: dict[str, Any] = {name: getattr(run, name) for name in Facts.__slots__}
    facts |= {name: facts[name] and facts[name].isoformat() for name in _INSTANTS}
    return {
        "module": function.__module__, "name": function.__qualname__, "args": invocation.text,
        "facts": facts, "now": run.now().isoformat(), "level": logging.getLogger().level,
    }  # fmt: skip


def facts_of(message: Message) -> Facts:
    """Return the facts of the run that a call message is about."""
    facts = dict(message["facts"])
    facts |= {name: facts[name] and datetime.fromisoformat(facts[name]) for name in _INSTANTS}
    return Facts(**facts)


def report_of(run: Run) -> Message:
    """Return what a run has reported and logged; each log line is reported once."""
    progress = run.reported
    return {
        "progress": None if progress is None else [progress.done, progress.total, progress.note],
        "counters": dict(run.counters),
        "log": [
            [line.at.isoformat(), line.level, line.logger, line.message]
            for line in run.captured.take()
        ],
        "dropped": run.captured.dropped,
    }


def apply_report(run: Run, report: Message) -> None:
    """Apply what the child process has reported to the worker's copy of the run."""
    progress = report["progress"]
    run.apply_report(None if progress is None else Progress(*progress), report["counters"])
    for at, level, logger, message in report["log"]:
        run.captured.add(LogLine(datetime.fromisoformat(at), level, logger, message))
    run.captured.dropped = max(run.captured.dropped, report["dropped"])
