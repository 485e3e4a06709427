"""The definition of a job, as requested by code or a user."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from duly.errors import ConfigurationError, TriggerError
from duly.model import payload
from duly.model.actor import storable_reason
from duly.model.identity import new_id
from duly.model.job import check_id, check_tags
from duly.model.policy import JobOptions, decode_options, encode_policy
from duly.model.text import safe_repr
from duly.registry import Task
from duly.store.rows import JobRow
from duly.triggers import After, Trigger, cron, decode, encode
from duly.triggers.dependency import Outcome

log = logging.getLogger("duly")
TIMED = ("misfire_grace", "jitter", "start", "end", "max_fires")
"""Options that do not apply to a job without times of its own."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A job as it was requested.

    Attributes:
        trigger: the trigger as given; it is bound (zone, anchor, job id) when it is stored.
        args: the validated arguments, as JSON text.
        options: the effective options: the defaults, overridden by the task's, then the job's.
        zone: the time zone of a trigger that does not name one.
        paused: whether it is paused when it is added; a text is the reason.
    """

    id: str
    task: str
    trigger: Trigger
    args: str
    options: JobOptions
    tags: tuple[str, ...]
    zone: str
    paused: bool | str = False

    @property
    def paused_reason(self) -> str | None:
        """Why it is paused when it is added, if that is known."""
        return self.paused if isinstance(self.paused, str) else None


def define(
    task: Task,
    trigger: Trigger,
    *,
    job_id: str | None,
    args: Mapping[str, Any] | None,
    tags: Sequence[str],
    options: JobOptions,
    zone: str,
    paused: bool | str = False,
) -> Definition:
    """Check the parts of a job and return its definition.

    Raises:
        ConfigurationError: the id, a tag, the trigger or ``paused`` is not valid.
        ArgumentsError: the arguments do not match the task's signature.
    """
    if options.futile is not None:
        log.warning("Job %r never runs as declared: %s.", job_id, options.futile)
    return Definition(
        id=check_id(job_id if job_id is not None else new_id()),
        task=task.name,
        trigger=check_trigger(trigger),
        args=task.signature.encode(args or {}),
        options=options,
        tags=check_tags(tags),
        zone=zone,
        paused=_check_paused(paused),
    )


def _check_paused(paused: object) -> bool | str:
    if isinstance(paused, bool):
        return paused
    if isinstance(paused, str) and paused.strip():
        return storable_reason(paused) or True
    raise ConfigurationError(
        f"paused is {safe_repr(paused, 100)}; give True, or the reason as a text"
    )


def check_trigger(given: object) -> Trigger:
    """Return a trigger as it is.

    Raises:
        ConfigurationError: it is something else; the message names the trigger to write instead.
    """
    if isinstance(given, Trigger):
        return given
    raise ConfigurationError(f"{safe_repr(given, 100)} is not a trigger; {_trigger_for(given)}")


def _trigger_for(given: object) -> str:
    """Return what to write instead of something that is not a trigger."""
    if isinstance(given, str) and is_cron(given):
        return f"write cron({given!r})"
    if isinstance(given, str) and "FREQ=" in given.upper():
        return f"write rrule({given!r})"
    if isinstance(given, timedelta):
        return f"write every(seconds={given.total_seconds():g})"
    if isinstance(given, int | float) and not isinstance(given, bool):
        return f"write every(seconds={given:g})"
    if isinstance(given, datetime):
        return "write at(…) with this datetime"
    return "give for example cron('0 9 * * *'), every(hours=1) or at(…)"


def is_cron(text: str) -> bool:
    """Return whether a text is a cron expression."""
    try:
        cron(text)
    except TriggerError:
        return False
    return True


def trigger_of(
    trigger: Trigger | None,
    after: Sequence[str] | None,
    on: Outcome | None,
    options: Mapping[str, Any],
) -> Trigger:
    """Return the given trigger, or the one that ``after`` and ``on`` describe.

    Raises:
        ConfigurationError: both ``trigger`` and ``after`` are given, or neither; or an option does
            not apply to a job without times of its own.
        TriggerError: ``after`` or ``on`` is not valid.
    """
    if after is None:
        if on is not None:
            raise ConfigurationError(f"on={on!r} needs after=[…], the jobs that it refers to")
        if trigger is None:
            raise ConfigurationError("give a trigger, such as every(hours=1), or after=['job id']")
        if isinstance(trigger, After):
            _refuse_times(options)
        return check_trigger(trigger)
    if trigger is not None:
        raise ConfigurationError(
            "give either a trigger or after=[…]: a job that runs after others has no times"
        )
    _refuse_times(options)
    return After(tuple(after) if not isinstance(after, str) else after, on or "success")  # type: ignore[arg-type]


def _refuse_times(options: Mapping[str, Any]) -> None:
    for name in TIMED:
        if options.get(name) is not None:
            raise ConfigurationError(f"{name}= needs a trigger with times; after= has none")


def refuse_at_start(options: Mapping[str, Any]) -> None:
    """Refuse ``at_start`` for a job that code does not declare.

    Raises:
        ConfigurationError: it is set.
    """
    if options.get("at_start"):
        raise ConfigurationError(
            "at_start=True applies to jobs that code declares, with @scheduler.job(…): no start "
            "belongs to this one; scheduler.enqueue(task) or run_now(job_id) runs it once now"
        )


def declared(row: JobRow) -> Definition:
    """Return a job's last declaration in code."""
    stored = payload.decode(row.declared or "null")
    return Definition(
        id=row.id,
        task=stored["task"],
        trigger=decode(stored["trigger"]),
        args=stored["args"],
        options=decode_options(stored["options"]),
        tags=tuple(stored["tags"]),
        zone=stored["zone"],
        paused=stored.get("paused", False),
    )


def is_declared_paused(row: JobRow) -> bool:
    """Return whether a job's last declaration in code, if it has one, is that of a paused job."""
    return bool(row.declared and payload.decode(row.declared).get("paused"))


def declaration_text(wanted: Definition) -> str:
    """Return a definition as JSON text, which is stored and compared at the next start."""
    values = {
        "task": wanted.task, "trigger": encode(wanted.trigger), "args": wanted.args,
        "options": encode_policy(wanted.options), "tags": wanted.tags, "zone": wanted.zone,
    }  # fmt: skip
    return payload.encode({**values, "paused": wanted.paused} if wanted.paused else values)
