"""Declaring process jobs: ``@scheduler.job(every(seconds=30), scope="process")``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from duly.errors import ConfigurationError, TriggerError
from duly.model.checks import EARLIEST
from duly.model.job import check_id
from duly.model.policy import JobOptions
from duly.model.redefinition import is_newer, module_execution
from duly.operations.core import Core
from duly.operations.definition import check_trigger
from duly.registry import Task
from duly.triggers import Trigger
from duly.worker.process_jobs import ProcessJob

log = logging.getLogger("duly")
DEFAULTS = ("timeout", "misfire_grace", "jitter")
"""The options whose defaults apply: those of ``Scheduler(defaults=…)``."""

_WAITS_FOR_NOTHING = "it takes no slot of a queue and never waits"
_NO_OVERLAP = "in a process it never overlaps with itself: a time that finds it running is skipped"
_NOT_STORED = "its runs are not stored"
REFUSED: Mapping[str, str] = {
    "queue": _WAITS_FOR_NOTHING,
    "priority": _WAITS_FOR_NOTHING,
    "concurrency_key": "a process does not know what the others execute",
    "retry": "after a failure it runs again at its next time",
    "on_crash": "when its process dies, nothing is left of it",
    "expires": f"{_WAITS_FOR_NOTHING}; misfire_grace= bounds how late it may start",
    "keep": _NOT_STORED,
    "catch_up": "for all times that passed it runs once; misfire_grace= bounds how late",
    "overlap": _NO_OVERLAP,
    "max_running": _NO_OVERLAP,
    "max_fires": "each process would count for itself; end= bounds its times",
    "watch": "health() reports each process in which it fails",
    "ping": "request the address in the function",
    "owner": _NOT_STORED,
    "unique_key": _NOT_STORED,
    "unique": _NOT_STORED,
    "session": "it is not stored",
    "tags": "they find stored jobs, and it is not stored",
    "paused": "it is not stored, so that it could not be resumed; start= delays its first time",
    "after": "it would have to find the runs of other jobs; give it a trigger",
    "on": "it would have to find the runs of other jobs; give it a trigger",
    "transactional": "no run is stored to commit with; open a session in the function",
    "executor": "each process executes it in itself, in a thread or as a coroutine",
}
"""The arguments of `Scheduler.job` that do not fit together with it, and what holds instead."""

_UNSET = {"tags": (), "after": None, "on": None, "transactional": False, "executor": "auto"}


def refuse_options(given: Mapping[str, Any]) -> None:
    """Refuse arguments that do not apply to a process job, unless they have their default.

    Raises:
        ConfigurationError: there is one; the message names it.
    """
    for name, value in given.items():
        default = _UNSET.get(name, getattr(JobOptions, name, None))
        if name in REFUSED and value != default and not (name == "paused" and value is False):
            raise ConfigurationError(
                f'{name}= does not apply to a job with scope="process": {REFUSED[name]}. Leave it '
                "out, or leave scope= out to have one stored job for all processes"
            )


def declare_process_job(
    core: Core,
    task: Task,
    trigger: Trigger | None,
    *,
    job_id: str,
    args: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> None:
    """Remember a job that each process executes for itself; nothing is stored.

    Args:
        core: the core.
        task: its task; of that one's options, ``timeout`` applies.
        trigger: when it fires.
        job_id: its id.
        args: the arguments of every run.
        options: the options that were given, without those that `refuse_options` refuses.

    Raises:
        ConfigurationError: the task, the trigger or an option does not fit, or another job has
            this id.
        ArgumentsError: the arguments do not match the task's signature.
    """
    refuse_options({"transactional": task.transactional, "executor": task.executor})
    if trigger is None:
        raise ConfigurationError("give a trigger, such as every(seconds=30)")
    base = JobOptions(**{name: getattr(core.settings.defaults, name) for name in DEFAULTS})
    if "timeout" in task.options:
        base = base.with_overrides({"timeout": task.options["timeout"]}, f"for job {job_id!r}")
    wanted = ProcessJob(
        id=check_id(job_id),
        task=task.name,
        trigger=check_trigger(trigger),
        args=task.signature.encode(args or {}),
        options=base.with_overrides(
            {name: value for name, value in options.items() if name not in REFUSED},
            f"for job {job_id!r}",
        ),
        zone=core.settings.timezone,
    )
    _check_calendars(wanted)
    if wanted.options.futile is not None:
        log.warning("Job %r never runs as declared: %s.", job_id, wanted.options.futile)
    _remember(core, wanted, task.function)


def _check_calendars(wanted: ProcessJob) -> None:
    try:
        wanted.trigger.bind(job_id=wanted.id, tz=wanted.zone, anchor=EARLIEST, calendars={})
    except TriggerError as error:
        raise ConfigurationError(
            f'job {wanted.id!r}: {error}. A job with scope="process" does not read stored '
            "calendars; give excluding() the calendar itself"
        ) from None


def _remember(core: Core, wanted: ProcessJob, function: Callable[..., Any]) -> None:
    earlier = core.process_jobs.get(wanted.id) or core.declared.get(wanted.id)
    if earlier == wanted:
        return
    if earlier is not None and not is_newer(function, *core.declaring[wanted.id]):
        raise ConfigurationError(f"job {wanted.id!r} is declared twice; give one an id=")
    core.declared.pop(wanted.id, None)
    core.process_jobs[wanted.id] = wanted
    core.declaring[wanted.id] = (function, module_execution(function))
    core.worker.see_process_jobs()
