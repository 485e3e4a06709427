"""Declaring tasks and jobs in code, and storing jobs and calls at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar, overload

from duly.errors import ConfigurationError
from duly.model.job import JobRecord
from duly.operations import runs as run_commands
from duly.operations import status as queries
from duly.operations.core import Wiring
from duly.operations.enqueue import call_of, key_of
from duly.operations.jobs import adding
from duly.operations.jobs.definition import define
from duly.operations.jobs.triggering import trigger_of
from duly.operations.patience import patient
from duly.operations.runs import Call
from duly.registry import ExecutorName, SessionFactory, TaskFunction
from duly.store import declarations
from duly.store.rows import new_job_record
from duly.triggers import Trigger
from duly.triggers.dependency import Outcome

P = ParamSpec("P")
R = TypeVar("R")
AnyTask = str | TaskFunction[..., Any] | Callable[..., Any]


class Declaring(Wiring):
    """How work is made known."""

    def task(
        self,
        name: str | None = None,
        *,
        transactional: bool | SessionFactory = False,
        executor: ExecutorName = "auto",
        **options: Any,
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]:
        """Register a function so that it can be enqueued and scheduled.

        Args:
            name: what the database knows it by; default: the function's name.
            transactional: the function gets a session (a parameter annotated ``Session`` or
                ``AsyncSession``), and the engine commits what it does there together with its run,
                exactly once. ``True``: a session of Duly's own; or give what makes the host's: a
                ``sessionmaker``, an ``async_sessionmaker``, Flask-SQLAlchemy's ``db.session``.
            executor: ``process``: a plain function runs in a process of its own, beside the
                interpreter's lock, and a timeout or a cancellation really ends it; ``auto``: in a
                thread, or as a coroutine on the event loop.
            options: ``queue``, ``priority``, ``retry``, ``timeout``, ``on_crash``, ``expires``,
                ``keep``, ``concurrency_key``: see `JobOptions`.

        Raises:
            DuplicateTask: the name belongs to another function.
            UnknownOption: an option that tasks do not have.
        """
        if callable(name):
            raise ConfigurationError("write @scheduler.task(), with parentheses")

        def register(function: Callable[P, R]) -> TaskFunction[P, R]:
            held = self.registry.register(
                function,
                name=name,
                options=options,
                transactional=transactional,
                executor=executor,
            )
            return TaskFunction(held, self.enqueue)

        return register

    @overload
    def job(self, trigger: str) -> JobRecord: ...

    @overload
    def job(
        self,
        trigger: Trigger | None = None,
        *,
        after: Sequence[str] | None = None,
        on: Outcome | None = None,
        id: str | None = None,
        args: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        transactional: bool | SessionFactory = False,
        executor: ExecutorName = "auto",
        **options: Any,
    ) -> Callable[[Callable[P, R] | TaskFunction[P, R]], TaskFunction[P, R]]: ...

    def job(
        self,
        trigger: Trigger | str | None = None,
        *,
        after: Sequence[str] | None = None,
        on: Outcome | None = None,
        id: str | None = None,
        args: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        transactional: bool | SessionFactory = False,
        executor: ExecutorName = "auto",
        **options: Any,
    ) -> JobRecord | Callable[[Callable[P, R] | TaskFunction[P, R]], TaskFunction[P, R]]:
        """Declare a job: ``@scheduler.job(cron("0 9 * * 1-5"))``. Or look one up by its id.

        The declaration is stored when the scheduler starts. One that did not change since the
        last start touches nothing; hand edits win over it until they are reset. After the start it
        is stored at once.

        Args:
            trigger: when it fires; or the id of the job to look up.
            after: instead of a trigger: the ids of jobs after whose runs it runs: once for each
                run of one job, or once when each of several has run since it last did.
            on: with ``after``: ``success`` (default), ``failure`` or ``always``: which outcome of
                theirs it runs after. After another outcome its run is recorded as skipped.
            id: default: the task's name.
            args: the arguments of every run.
            tags: for finding jobs together.
            transactional: see `task`; a function that is a task already says it there.
            executor: likewise.
            options: see `JobOptions`.

        Raises:
            JobNotFound: no job has that id (look-up).
            ArgumentsError: ``args`` do not fit the function.
            UnknownOption: an option that does not exist.
            DependencyError: at the start: ``after`` names an unknown job, or closes a circle.
        """
        if isinstance(trigger, str):
            with self.store.read() as conn:
                return queries.job(conn, trigger)
        chosen = trigger_of(trigger, after, on, options)

        def declare(function: Callable[P, R] | TaskFunction[P, R]) -> TaskFunction[P, R]:
            if not isinstance(function, TaskFunction):
                wrapped = self.task(transactional=transactional, executor=executor)(function)
            elif transactional is not False or executor != "auto":
                named = "transactional" if transactional is not False else "executor"
                raise ConfigurationError(
                    f"{function.name!r} is a task already; say {named}=… where it is made one"
                )
            else:
                wrapped = function
            wanted = define(
                wrapped.task,
                chosen,
                job_id=id or wrapped.name,
                args=args,
                tags=tags,
                options=wrapped.task.options_over(self.settings.defaults, options),
                zone=self.settings.timezone,
            )
            if wanted.id in self._declared and self._declared[wanted.id] != wanted:
                raise ConfigurationError(f"job {wanted.id!r} is declared twice; give one an id=")
            self._declare(wanted)
            return wrapped

        return declare

    def orphans(self) -> list[JobRecord]:
        """The jobs that the code of this scheduler's name declared once and does not any more.

        A job is among them when the newest version does not declare it and no worker of another
        version is left that does. It stays, and goes on unless it was paused.
        """
        with self.store.read() as conn:
            lost = declarations.orphans(conn, self.settings.name)
            return [queries.job(conn, job_id) for job_id in lost]

    @patient
    def add(
        self,
        /,
        task: AnyTask,
        trigger: Trigger | None = None,
        *,
        after: Sequence[str] | None = None,
        on: Outcome | None = None,
        id: str | None = None,
        args: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        replace: bool = False,
        session: object | None = None,
        actor: str | None = None,
        **options: Any,
    ) -> JobRecord:
        """Store a job. It is durable when this returns; with ``session``, when the caller commits.

        Args:
            task: a registered function or its name.
            trigger: when it fires.
            after: instead of a trigger: see `job`; these jobs are stored already.
            on: see `job`.
            id: default: a random one.
            args: the arguments of every run.
            tags: for finding jobs together.
            replace: change the job with this id, if there is one; an unchanged trigger keeps the
                job's next fire.
            session: an SQLAlchemy `Session` or `Connection` on the same database.
            actor: who does it, for the audit trail.
            options: see `JobOptions`.

        Raises:
            DuplicateJob: the id is taken and ``replace`` is false.
            DependencyError: ``after`` names an unknown job, or closes a circle.
            UnknownTask: the function is not registered.
            ArgumentsError: ``args`` do not fit the function.
            UnknownOption: an option that does not exist.
            DatabaseUnavailable: the database does not answer.
        """
        held = self.registry.find(task)
        wanted = define(
            held,
            trigger_of(trigger, after, on, options),
            job_id=id,
            args=args,
            tags=tags,
            options=held.options_over(self.settings.defaults, options),
            zone=self.settings.timezone,
        )
        with self._transaction(session, actor) as tx:
            new = adding.add(tx, [wanted], app=self.settings.name, origin="api", replace=replace)
            if wanted.id in new:
                return new_job_record(new[wanted.id], wanted.tags)
            return queries.job(tx.conn, wanted.id)

    @patient
    def enqueue(
        self,
        task: AnyTask,
        /,
        *,
        args: Mapping[str, Any] | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        unique_key: str | None = None,
        unique: str = "until_start",
        session: object | None = None,
        actor: str | None = None,
        **arguments: Any,
    ) -> str:
        """Have a task called once, durably, as soon as a worker is free; returns the run's id.

        Args:
            task: a registered function or its name.
            args: its arguments; or give them as keywords. A task with a parameter named like an
                option here must use ``args``.
            delay: seconds (or a timedelta) before it may start.
            at: or the aware instant before which it may not start.
            priority: smaller starts first; default: the task's.
            queue: default: the task's.
            concurrency_key: of all runs with this key one runs at a time, or as many as
                `set_limit` says; default: the task's.
            unique_key: 1 to 191 characters; while a run holds this key no second one is made, and
                its id is returned.
            unique: until when the key is held: ``until_start`` or ``until_done``.
            session: see `add`.
            actor: see `add`.
            arguments: the arguments as keywords.

        Raises:
            UnknownTask: the function is not registered.
            ArgumentsError: the arguments do not fit the function.
            ConfigurationError: both ``args`` and keywords, both ``delay`` and ``at``, or an option
                out of range.
            NaiveDatetimeError: ``at`` has no time zone.
        """
        if args is not None and arguments:
            raise ConfigurationError("give the arguments either as args={…} or as keywords")
        held = self.registry.find(task)
        call = call_of(
            held, self.settings.defaults, delay=delay, at=at, priority=priority, queue=queue,
            concurrency_key=concurrency_key, unique=unique,
        )  # fmt: skip
        encoded = held.signature.encode(args if args is not None else arguments)
        if session is None and unique_key is None:
            return self._enqueue_plain(call, encoded, actor)
        keys = None if unique_key is None else [key_of(unique_key)]
        with self._transaction(session, actor) as tx:
            return run_commands.enqueue(tx, call, [encoded], keys)[0]

    def _enqueue_plain(self, call: Call, args: str, actor: str | None) -> str:
        """Store a call: with one statement where this process has no place for it."""
        if call.is_free and self._engine.has_free_slot(call.options.queue):
            return self._enqueue_here(call, args, actor)
        with self._write(actor, single=True) as tx:
            return run_commands.enqueue(tx, call, [args])[0]

    def _enqueue_here(self, call: Call, args: str, actor: str | None) -> str:
        """Store a call and start it in this process, if nothing waits before it."""
        self._refuse_behind_lock()
        with self._engine.execution.expecting() as pending_start:
            with self.store.write(actor) as tx:
                claimer = self._engine.claim_on_insert(tx)
                (run_id,) = run_commands.enqueue(tx, call, [args], claim_on_insert=claimer)
                claims = claimer.claims() if claimer is not None else []
                pending_start.update((claim.id, claim.claim_id) for claim in claims)
            started = self._engine.start_claims(claims)
        if not started:
            self._wake()
        return run_id
