"""The filters of runs and of jobs, for lists and for changes of all that match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from duly.errors import ConfigurationError, UnknownOption
from duly.model.checks import instant
from duly.model.identity import is_id
from duly.model.job import JOB_STATES, JobState
from duly.model.run import CAUSES, RUN_STATES, Cause, RunState
from duly.operations.inputs import chosen_ids, owner_names, searchable
from duly.registry import AnyTask, Registry
from duly.store.jobs import JobFilter
from duly.store.runs import RunFilter


class RunFilters(TypedDict, total=False):
    """Which runs: those that match every given filter. ``None`` counts as not given.

    Attributes:
        ids: their own ids, at most 1000; an empty list matches nothing.
        job: the job's id.
        task: the task's name or function.
        state: one state or several.
        cause: why they were created, or started over, such as ``schedule``.
        queue: the queue's name.
        tag: a tag of their job.
        owners: one of their owners; an empty list matches nothing.
        error_type: the type of the error that ended their last attempt.
        worker: the id of the worker that executes them, or executed them last.
        parent: the id of the run after which they ran; skipped runs are included.
        unique_key: the unique key that they hold; a run that no longer holds its key is not found.
        since: only runs created at this aware instant or later.
        until: only runs created before this instant.
        finished_since: only runs that finished at this aware instant or later.
        finished_until: only runs that finished before this instant.
        text: part of the job's id, the task's name or the error.
    """

    ids: Sequence[str] | None
    job: str | None
    task: AnyTask | None
    state: RunState | Sequence[RunState] | None
    cause: Cause | None
    queue: str | None
    tag: str | None
    owners: Sequence[str] | None
    error_type: str | None
    worker: str | None
    parent: str | None
    unique_key: str | None
    since: datetime | None
    until: datetime | None
    finished_since: datetime | None
    finished_until: datetime | None
    text: str | None


class JobFilters(TypedDict, total=False):
    """Which jobs: those that match every given filter. ``None`` counts as not given.

    Attributes:
        ids: their ids, at most 1000; an empty list matches nothing.
        tag: one of their tags.
        state: ``active``, ``paused``, ``finished`` or ``unresolved``.
        task: the task's name or function.
        queue: the queue's name.
        text: part of the id or of the task's name.
        owners: one of their owners; an empty list matches nothing.
        failing: whether to choose only jobs whose last finished run failed.
    """

    ids: Sequence[str] | None
    tag: str | None
    state: JobState | None
    task: AnyTask | None
    queue: str | None
    text: str | None
    owners: Sequence[str] | None
    failing: bool


def run_filter(registry: Registry, given: RunFilters) -> RunFilter:
    """Return the conditions of a query for runs.

    Raises:
        ConfigurationError: a state or cause is unknown, an id is not that of a run or worker, or
            ``owners`` is not a list of names.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: the task is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = _given(given, RunFilters.__annotations__, "of runs")
    for option, of in (("parent", "a run"), ("worker", "a worker")):
        if option in wanted and not is_id(wanted[option]):
            raise ConfigurationError(
                f"{option}={wanted[option]!r} is not valid; it must be the id of {of}"
            )
    for option in ("since", "until", "finished_since", "finished_until"):
        if option in wanted:
            wanted[option] = instant(option, wanted[option])
    if wanted.get("cause", "schedule") not in CAUSES:
        raise ConfigurationError(f"{wanted['cause']!r} is not a cause of runs; known: {CAUSES}")
    _convert(registry, wanted, ("queue", "error_type", "unique_key", "text"))
    for run_id in wanted.get("ids", ()):
        if not is_id(run_id):
            raise ConfigurationError(f"ids contains {run_id!r}, which is not the id of a run")
    return RunFilter(states=_states(wanted.pop("state", None)), **wanted)


def job_filter(registry: Registry, given: JobFilters) -> JobFilter:
    """Return the conditions of a query for jobs.

    Raises:
        ConfigurationError: the state is unknown, or ``owners`` or ``ids`` is not a list of names.
        UnknownTask: the task is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = _given(given, JobFilters.__annotations__, "of jobs")
    if wanted.get("state", "active") not in JOB_STATES:
        raise ConfigurationError(f"{wanted['state']!r} is not a job state; known: {JOB_STATES}")
    _convert(registry, wanted, ("queue", "text"))
    return JobFilter(**wanted)


def described(wanted: RunFilter | JobFilter) -> dict[str, Any]:
    """Return the conditions of a filter as JSON values, for the audit trail.

    Of ``ids`` it contains the number: each of those jobs or runs has an event of its own.
    """
    values = {name: getattr(wanted, name) for name in wanted.__slots__}
    return {
        name: _as_json(name, value)
        for name, value in values.items()
        if value not in (None, False, "")
    }


def _as_json(name: str, value: Any) -> Any:
    if name == "ids":
        return len(value)
    return value.isoformat() if isinstance(value, datetime) else value


def refuse_empty(wanted: RunFilter | JobFilter, everything: bool, change: str) -> None:
    """Refuse to change all that there is, of everyone or of some owners, unless that is asked for.

    Raises:
        ConfigurationError: no condition is given, and ``everything`` is not set; or both are.
    """
    empty = not described(wanted).keys() - {"owners"}
    if empty and not everything:
        raise ConfigurationError(
            f"{change} without a filter would change every one; give a filter, or everything=True"
        )
    if everything and not empty:
        raise ConfigurationError("give either filters or everything=True")


def _given(filters: Mapping[str, Any], known: Iterable[str], of: str) -> dict[str, Any]:
    for name in filters:
        if name not in known:
            raise UnknownOption(name, known, f"as a filter {of}")
    return {name: value for name, value in filters.items() if value is not None}


def _convert(registry: Registry, wanted: dict[str, Any], texts: Iterable[str]) -> None:
    """Replace the values of filters by those that queries take."""
    for option in texts:
        if option in wanted:
            wanted[option] = searchable(wanted[option])
    for option, convert in (
        ("owners", owner_names), ("ids", chosen_ids), ("task", registry.name_of),
    ):  # fmt: skip
        if option in wanted:
            wanted[option] = convert(wanted[option])


def _states(state: Any) -> tuple[str, ...] | None:
    if state is None:
        return None
    if not isinstance(state, str | Iterable):
        raise ConfigurationError(f"state={state!r}; give one of {RUN_STATES}, or a list of them")
    states = (state,) if isinstance(state, str) else tuple(state)
    for name in states:
        if name not in RUN_STATES:
            raise ConfigurationError(f"{name!r} is not a run state; known: {RUN_STATES}")
    return states
