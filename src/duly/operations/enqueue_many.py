"""Storing very many jobs and calls, each time in one transaction of few statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from duly.errors import ConfigurationError, DulyError, DuplicateJob
from duly.model.policy import JobOptions
from duly.operations import runs as run_commands
from duly.operations.core import Wiring
from duly.operations.declare import AnyTask
from duly.operations.enqueue import call_of, key_of
from duly.operations.jobs import adding
from duly.operations.jobs.definition import Definition, define
from duly.operations.jobs.triggering import trigger_of
from duly.operations.patience import patient
from duly.operations.runs import Call
from duly.registry import Task

E = TypeVar("E", bound=DulyError)
T = TypeVar("T")
R = TypeVar("R")
Resolved = dict[tuple[Any, ...], JobOptions]
"""Options that were worked out already, by the task and what the job says."""


class Bulk(Wiring):
    """How much work is stored at once: all of it, or nothing."""

    def add_many(
        self,
        jobs: Iterable[Mapping[str, Any]],
        /,
        *,
        replace: bool = False,
        session: object | None = None,
        actor: str | None = None,
    ) -> list[str]:
        """Store many jobs in one transaction; returns their ids in the same order.

        On SQLite all other writers wait for it: a few thousand jobs at a time are a good measure.

        Args:
            jobs: for each job the arguments of `add` by name: ``{"task": remind, "trigger":
                every(hours=1), "id": "remind-7", "args": {"user": 7}, "tags": ["user:7"], …}``.
            replace: change the jobs that exist already, as `add` does.
            session: see `add`.
            actor: see `add`.

        Raises:
            ConfigurationError: two jobs with one id, or what is no job.
            DuplicateJob: an id is taken and ``replace`` is false.
            DulyError: whatever `add` raises for one of them. The message begins with the place of
                the job at fault and its id: ``jobs[3] ('remind-7'): …``. Nothing is stored.
        """
        wanted = self._defined(list(jobs))
        places = {held.id: index for index, held in enumerate(wanted)}
        if len(places) < len(wanted):
            index = next(i for i, held in enumerate(wanted) if places[held.id] != i)
            held = wanted[index].id
            raise ConfigurationError(
                f"jobs[{index}] ({held!r}): jobs[{places[held]}] has the same id"
            )
        try:
            self._add_many(wanted, replace=replace, session=session, actor=actor)
        except DuplicateJob as error:
            raise _blamed(error, f"jobs[{places[error.job_id]}] ({error.job_id!r})")  # noqa: B904 - it is the same error
        return list(places)

    def enqueue_many(
        self,
        task: AnyTask,
        calls: Iterable[Mapping[str, Any]],
        /,
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        unique_keys: Iterable[str | None] | None = None,
        unique: str = "until_start",
        session: object | None = None,
        actor: str | None = None,
    ) -> list[str]:
        """Have a task called many times, stored in one transaction; returns the runs' ids in order.

        On SQLite all other writers wait for it: a few thousand calls at a time are a good measure.

        Args:
            task: a registered function or its name.
            calls: for each call its arguments: ``[{"user": 7}, {"user": 8}]``.
            delay: see `enqueue`; it and the next four hold for all calls.
            at: see `enqueue`.
            priority: see `enqueue`.
            queue: see `enqueue`.
            concurrency_key: see `enqueue`.
            unique_keys: for each call its unique key, or ``None`` where it has none. A call whose
                key is held by another run, or by a call before it, gets that run's id.
            unique: until when the keys are held: ``until_start`` or ``until_done``.
            session: see `add`.
            actor: see `add`.

        Raises:
            UnknownTask: the function is not registered.
            ArgumentsError: arguments that do not fit the function; the message begins with their
                place, ``calls[3]: …``, and nothing is stored.
            ConfigurationError: both ``delay`` and ``at``, an option out of range, or another number
                of unique keys than of calls.
            NaiveDatetimeError: ``at`` has no time zone.
        """
        held = self.registry.find(task)
        call = call_of(
            held, self.settings.defaults, delay=delay, at=at, priority=priority, queue=queue,
            concurrency_key=concurrency_key, unique=unique,
        )  # fmt: skip
        args = _encoded(held, calls)
        keys = None if unique_keys is None else _keys(unique_keys, len(args))
        return self._enqueue_many(call, args, keys, session=session, actor=actor)

    @patient
    def _add_many(
        self,
        wanted: Sequence[Definition],
        *,
        replace: bool,
        session: object | None,
        actor: str | None,
    ) -> None:
        with self._transaction(session, actor) as tx:
            adding.add(tx, wanted, app=self.settings.name, origin="api", replace=replace)

    @patient
    def _enqueue_many(
        self,
        call: Call,
        args: Sequence[str],
        keys: Sequence[str | None] | None,
        *,
        session: object | None,
        actor: str | None,
    ) -> list[str]:
        with self._transaction(session, actor) as tx:
            return run_commands.enqueue(tx, call, args, keys)

    def _defined(self, jobs: Sequence[Any]) -> list[Definition]:
        resolved: Resolved = {}
        wanted = []
        for index, job in enumerate(jobs):
            try:
                wanted.append(self._define(job, resolved))
            except DulyError as error:
                named = job.get("id") if isinstance(job, Mapping) else None
                place = f"jobs[{index}]" if named is None else f"jobs[{index}] ({named!r})"
                raise _blamed(error, place)  # noqa: B904 - it is the same error
        return wanted

    def _define(self, job: Any, resolved: Resolved) -> Definition:
        if not isinstance(job, Mapping) or "task" not in job:
            raise ConfigurationError(
                'a job is given by the arguments of add: {"task": …, "trigger": …, "id": …}'
            )
        said = dict(job)
        task = self.registry.find(said.pop("task"))
        trigger, after, on = (
            said.pop("trigger", None),
            said.pop("after", None),
            said.pop("on", None),
        )
        job_id, args, tags = said.pop("id", None), said.pop("args", None), said.pop("tags", ())
        return define(
            task,
            trigger_of(trigger, after, on, said),
            job_id=job_id,
            args=args,
            tags=tags,
            options=self._options(task, said, resolved),
            zone=self.settings.timezone,
        )

    def _options(self, task: Task, said: Mapping[str, Any], resolved: Resolved) -> JobOptions:
        """The same options for all jobs that say the same: each is worked out once."""
        key = (task.name, *said.items(), *map(type, said.values()))  # 1 is no True
        try:
            held = resolved.get(key)
        except TypeError:  # a value that cannot be remembered, such as a dict
            return task.options_over(self.settings.defaults, said)
        if held is None:
            held = resolved[key] = task.options_over(self.settings.defaults, said)
        return held


def _each(values: Iterable[T], check: Callable[[T], R], what: str) -> list[R]:
    """Check each value; an error names the place of the one at fault."""
    checked = []
    for index, value in enumerate(values):
        try:
            checked.append(check(value))
        except DulyError as error:
            raise _blamed(error, f"{what}[{index}]")  # noqa: B904 - it is the same error
    return checked


def _encoded(task: Task, calls: Iterable[Mapping[str, Any]]) -> list[str]:
    return _each(calls, task.signature.encode, "calls")


def _keys(unique_keys: Iterable[str | None], count: int) -> list[str | None]:
    keys = _each(unique_keys, key_of, "unique_keys")
    if len(keys) != count:
        raise ConfigurationError(f"{len(keys)} unique_keys for {count} calls; give one for each")
    return keys


def _blamed(error: E, place: str) -> E:
    """The same error, saying which of many is at fault."""
    error.args = (f"{place}: {error}", *error.args[1:])
    return error
