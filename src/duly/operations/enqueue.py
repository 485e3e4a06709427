"""What is said about when and how a task is called durably, checked."""

from __future__ import annotations

from datetime import datetime, timedelta

from duly.errors import ConfigurationError
from duly.model.checks import SECONDS, instant, label
from duly.model.job import MAX_ID
from duly.model.policy import JobOptions
from duly.operations.runs import Call
from duly.registry import Task

UNIQUE_SCOPES = ("until_start", "until_done")


def call_of(
    task: Task,
    defaults: JobOptions,
    *,
    delay: float | timedelta | None,
    at: datetime | None,
    priority: int | None,
    queue: str | None,
    concurrency_key: str | None,
    unique: str,
) -> Call:
    """The call that these options of ``enqueue`` describe.

    Raises:
        ConfigurationError: both ``delay`` and ``at``, or an option out of range.
        NaiveDatetimeError: ``at`` has no time zone.
    """
    if delay is not None and at is not None:
        raise ConfigurationError("give either delay= or at=")
    if unique not in UNIQUE_SCOPES:
        raise ConfigurationError(f"unique={unique!r}; it must be one of {UNIQUE_SCOPES}")
    chosen = {"priority": priority, "queue": queue, "concurrency_key": concurrency_key}
    options = task.options_over(defaults, {k: v for k, v in chosen.items() if v is not None})
    moment = None if at is None else instant("at", at)
    wait = None if delay is None else timedelta(seconds=SECONDS("delay", delay))
    return Call(task, options, moment, wait, unique)


def key_of(unique_key: str | None) -> str | None:
    """The unique key, if there is one and it can be stored.

    Raises:
        ConfigurationError: it is not 1 to 191 printable characters.
    """
    return None if unique_key is None else label(MAX_ID)("unique_key", unique_key)
