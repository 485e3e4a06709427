"""What crosses between a run's two halves: here its row and its fate, there its function."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from duly.context import Run
from duly.executors.base import Work
from duly.executors.wire import Message
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


def call_message(work: Work) -> Message:
    """Everything that another process must know to execute a call."""
    function, run = work.function, work.run
    facts: dict[str, Any] = {name: getattr(run, name) for name in Facts.__slots__}
    facts |= {name: facts[name] and facts[name].isoformat() for name in _INSTANTS}
    return {
        "module": function.__module__, "name": function.__qualname__, "args": work.text,
        "facts": facts, "now": run.now().isoformat(), "level": logging.getLogger().level,
    }  # fmt: skip


def facts_of(message: Message) -> Facts:
    """The facts of the run that a call message is about."""
    held = dict(message["facts"])
    held |= {name: held[name] and datetime.fromisoformat(held[name]) for name in _INSTANTS}
    return Facts(**held)


def report_of(run: Run) -> Message:
    """What a run has told and logged; log lines are reported once."""
    told = run.reported
    return {
        "progress": None if told is None else [told.done, told.total, told.note],
        "counters": dict(run.counters),
        "log": [
            [line.at.isoformat(), line.level, line.logger, line.message]
            for line in run.captured.take()
        ],
        "dropped": run.captured.dropped,
    }


def hear(run: Run, report: Message) -> None:
    """Take over what the other half has reported."""
    progress = report["progress"]
    run.tell_all(None if progress is None else Progress(*progress), report["counters"])
    for at, level, logger, message in report["log"]:
        run.captured.add(LogLine(datetime.fromisoformat(at), level, logger, message))
    run.captured.dropped = max(run.captured.dropped, report["dropped"])
