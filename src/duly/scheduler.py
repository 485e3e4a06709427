"""`Scheduler`, which a host application creates, and `Aio`, the awaitable form of its calls."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import tzinfo
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from duly import operations as op
from duly.clock import Clock, SystemClock
from duly.errors import ConfigurationError
from duly.foreign_names import CALLS
from duly.hooks import RemoteExecutor
from duly.misuse import explains_arguments, explains_names, misuse
from duly.model.policy import JobOptions
from duly.model.release import check_version
from duly.model.secrets import Resolve
from duly.model.settings import OpenResources, Orphans, Settings, check_queues, check_zone
from duly.model.worker import Heartbeat
from duly.operations.core import Core, Upkeep
from duly.operations.enqueue import AwaitableEnqueue, DirectEnqueue
from duly.registry import Registry
from duly.store.host.session_types import HostSession
from duly.store.store import Store
from duly.store.url import Later
from duly.worker.loop import State

P = ParamSpec("P")
R = TypeVar("R")
_AWAITABLE = {name: call.replace("scheduler.", "scheduler.aio.") for name, call in CALLS.items()}


def _explain(
    operation: Callable[..., Any], core: Core, args: Sequence[Any], options: Mapping[str, Any]
) -> None:
    """Raise an error that tells what to write, if arguments do not fit an operation.

    Raises:
        ConfigurationError: they do not fit.
    """
    error = misuse(operation, (core, *args), options, hidden=1)
    if error is not None:
        raise error from None


def _call(operation: Callable[Concatenate[Core, P], R]) -> Callable[Concatenate[Scheduler, P], R]:
    """Make an operation a method of `Scheduler`, with its signature and its docstring."""

    @functools.wraps(operation)
    def call(self: Scheduler, /, *args: P.args, **options: P.kwargs) -> R:
        try:
            return operation(self._core, *args, **options)
        except TypeError:
            _explain(operation, self._core, args, options)
            raise

    return call


Waits = Callable[[Mapping[str, Any]], bool]


def _never(_options: Mapping[str, Any]) -> bool:
    return False


def _awaitable(
    operation: Callable[Concatenate[Core, P], R], *, waits: Waits = _never
) -> Callable[Concatenate[Aio, P], Coroutine[Any, Any, R]]:
    """Make an operation a coroutine method of `Aio`, with its signature and its docstring.

    The operation runs in a thread; with an asyncio session, through SQLAlchemy's ``run_sync``.

    Args:
        operation: the operation.
        waits: whether a call with these options waits for runs.
    """

    @functools.wraps(operation)
    async def call(self: Aio, /, *args: P.args, **options: P.kwargs) -> R:
        def work(session: HostSession | None) -> R:
            if session is not None:
                options["session"] = session
            try:
                return operation(self._core, *args, **options)
            except TypeError:
                _explain(operation, self._core, args, options)
                raise

        if waits(options):
            return await self._core.call_threads.wait(work, None)
        return await self._hop(work, options.get("session"))

    return call


def _awaitable_stop(
    operation: Callable[Concatenate[Core, P], R],
) -> Callable[Concatenate[Aio, P], Coroutine[Any, Any, R]]:
    """Make an operation awaitable that ends the scheduler, so it is never refused."""

    @functools.wraps(operation)
    async def call(self: Aio, /, *args: P.args, **options: P.kwargs) -> R:
        return await self._core.call_threads.stop(lambda: operation(self._core, *args, **options))

    return call


def _awaitable_step(
    operation: Callable[Concatenate[Core, P], R], *, waits: Waits = _never
) -> Callable[Concatenate[Aio, P], Coroutine[Any, Any, R]]:
    """Make an operation awaitable; coroutine jobs that it starts run on the loop that awaits it."""
    step = _awaitable(operation, waits=waits)

    @functools.wraps(operation)
    async def call(self: Aio, /, *args: P.args, **options: P.kwargs) -> R:
        if self._core.worker.state == "stopped":
            op.lifecycle.attach(self._core, asyncio.get_running_loop())
        return await step(self, *args, **options)

    return call


def _awaitable_wait(
    operation: Callable[Concatenate[Core, P], R],
    form: Callable[Concatenate[Core, op.waiting.Hop[R], P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Aio, P], Coroutine[Any, Any, R]]:
    """Make an operation awaitable by another form of it, which needs no thread while it waits."""

    @functools.wraps(operation)
    async def call(self: Aio, /, *args: P.args, **options: P.kwargs) -> R:
        def hop(work: Callable[[], R]) -> Coroutine[Any, Any, R]:
            return self._hop(lambda _session: work(), None)

        return await form(self._core, hop, *args, **options)

    return call


@explains_names(CALLS, "'Scheduler' object")
@explains_arguments
class Scheduler(DirectEnqueue):
    """A durable job scheduler on one database.

    Args:
        url: an SQLAlchemy database URL: ``sqlite:///app.db`` or ``postgresql+psycopg://…``; URLs
            of asyncio drivers are accepted too. Without a URL, jobs can only be declared until
            `use_database` sets it, or ``app.config["DULY_URL"]`` in Flask.
        name: the name of the application. Declarations in code are only compared with earlier
            ones of the same application.
        version: the version of the application, which must increase with every deployment: 43,
            ``1.4.2``, ``2026.11.21``. An older process never changes a job that a newer one has
            declared; a process without a version counts as the oldest. Default: none, so the last
            declaration wins.
        orphans: whether jobs that code no longer declares are only reported (``report``), or also
            paused (``pause``).
        timezone: the zone of wall-clock triggers that do not name one, as an IANA name or a tzinfo.
        heartbeat: ``normal`` (a heartbeat every 10 s, a lease of 60 s), ``fast`` (1 s, 5 s) or a
            `Heartbeat`.
        defaults: options for jobs and tasks that do not set their own.
        queues: the number of runs of each queue that this process executes at once; default:
            ``{"default": 10}``.
        clock: the source of time; tests pass a `VirtualClock`.
        grace: seconds that `stop` waits for running functions.
        start: what `start` does while the database is unreachable: ``retry`` until it responds, or
            raise (``required``).
        pooler: whether the URL leads to a transaction pooler (PgBouncer). If so, Duly keeps no
            state in database sessions, and polls every second for the work of other processes.
        listen_url: a direct URL for LISTEN that bypasses the pooler.
        schema: the PostgreSQL schema that contains Duly's tables; it is created with them. Default:
            the first one of the role's ``search_path``, usually ``public``.
        resources: what jobs need: a function without parameters that returns a context manager,
            sync or async, which is entered wherever runs are executed (in web processes, ``duly
            run`` and ``duly worker``, by `start` and by `tick`) and left when they have ended.
            Functions receive its value as ``run.resources``. An asynchronous one lives on the event
            loop of coroutine jobs. If it raises, `start` does.
        secrets: a function that returns the value of a secret by its name, or ``None`` if there is
            none; it is called where a run is executed whose arguments contain `secret`. Default:
            the environment variable of that name.
        executors: executors that hand runs to another system, by the name that a task gives as
            ``executor=``: ``{"celery": CeleryExecutor(app)}``; see `duly.integrations.celery`.

    Attributes:
        aio: the calls that may wait for the database, or for runs, as awaitables: ``await
            scheduler.aio.enqueue(...)``. The others (`task`, `include`, `declared`, `on`, `notify`,
            `around`, `observe`, `wake`, `attach`, `in_flight`, `load`, `skip_grace`,
            `use_database`, `configure_worker`, `within`) return at once and have no awaitable
            form; `running` has `lifespan`.

    Raises:
        DatabaseURLError: the URL cannot be used.
        ConfigurationError: another setting is not valid.
    """

    def __init__(
        self,
        url: str | Literal[Later.LATER] = Later.LATER,
        *,
        name: str = "default",
        version: str | int | None = None,
        orphans: Orphans = "report",
        timezone: str | tzinfo = "UTC",
        heartbeat: Literal["normal", "fast"] | Heartbeat = "normal",
        defaults: JobOptions | None = None,
        queues: Mapping[str, int] | None = None,
        clock: Clock | None = None,
        grace: float = 20,
        start: Literal["retry", "required"] = "retry",
        pooler: bool = False,
        listen_url: str | None = None,
        schema: str | None = None,
        resources: OpenResources | None = None,
        secrets: Resolve | None = None,
        executors: Mapping[str, RemoteExecutor] | None = None,
    ) -> None:
        if start not in ("retry", "required"):
            raise ConfigurationError(f"start={start!r}; it must be 'retry' or 'required'")
        settings = Settings(
            name=name,
            version=check_version(version),
            orphans=orphans,
            timezone=check_zone(timezone),
            defaults=defaults or JobOptions(),
            queues={"default": 10} if queues is None else check_queues(queues),
            heartbeat=Heartbeat.of(heartbeat),
            required=start == "required",
            grace=grace,
            pooler=pooler,
            listen_url=listen_url,
            schema=schema,
            resources=resources,
            secrets=secrets,
            executors={} if executors is None else executors,
        )
        super().__init__(self._new_core(url, settings, clock or SystemClock()))
        self.aio = Aio(self._core)
        op.hand_off.connect(self._core)

    def _new_core(self, url: str | Literal[Later.LATER], settings: Settings, clock: Clock) -> Core:
        """Create the core; the simulation overrides this to use a simulated database."""
        return Core(url, settings, clock, UPKEEP)

    @property
    def settings(self) -> Settings:
        """The settings given to the constructor, as changed by `configure_worker`."""
        return self._core.settings

    @property
    def clock(self) -> Clock:
        """The clock of this process."""
        return self._core.clock

    @property
    def registry(self) -> Registry:
        """The registered tasks."""
        return self._core.registry

    @property
    def store(self) -> Store:
        """The database."""
        return self._core.store

    @property
    def state(self) -> State:
        """The state of this process's worker: stopped, starting, running or stopping."""
        return self._core.state

    @property
    def in_test(self) -> bool:
        """Whether the scheduler is inside `duly.testing.testing`, where `start` starts nothing."""
        return self._core.environment is not None

    @property
    def worker_id(self) -> str | None:
        """The id of this process's worker, as it appears in `status`, runs and events.

        ``None`` before the first step and after a stop. A worker that has lost its lease registers
        again under another id.
        """
        return self._core.worker.worker_id

    @property
    def app(self) -> Any:
        """The web application that functions reach as ``run.app``; ``None`` if there is none.

        ``init_app`` and `lifespan` set it.
        """
        return self._core.worker.app

    @app.setter
    def app(self, app: Any) -> None:
        self._core.worker.app = app

    @property
    def takes_database(self) -> bool:
        """Whether the scheduler was created without a URL, so that `use_database` sets it."""
        return self._core.takes_database

    @property
    def has_database(self) -> bool:
        """Whether the scheduler has a database: a URL was given, or set by `use_database`."""
        return self._core.has_database

    # Declaring tasks and jobs in code
    task = _call(op.declare.task)
    job = _call(op.declare.job)
    include = _call(op.groups.include)
    declared = _call(op.declare.declared)
    orphans = _call(op.declare.orphans)

    # Calling tasks
    enqueue_many = _call(op.enqueue.enqueue_many)

    # Jobs
    add = _call(op.jobs.add.add)
    add_many = _call(op.jobs.add.add_many)
    sync = _call(op.jobs.sync.sync)
    edit = _call(op.jobs.edit.edit)
    reset = _call(op.jobs.edit.reset)
    pause = _call(op.jobs.pause.pause)
    resume = _call(op.jobs.pause.resume)
    remove = _call(op.jobs.pause.remove)
    jobs = _call(op.jobs.find.jobs)
    job_ids = _call(op.jobs.find.job_ids)
    count_jobs = _call(op.jobs.find.count_jobs)
    next_fires = _call(op.jobs.find.next_fires)
    missed = _call(op.jobs.find.missed)
    declaration = _call(op.jobs.declaration.declaration)
    neighbours = _call(op.jobs.neighbours.neighbours)

    # Runs
    run_now = _call(op.runs.run_now)
    backfill = _call(op.backfill.backfill)
    cancel = _call(op.runs.cancel)
    reschedule = _call(op.runs.reschedule)
    retry = _call(op.runs.retry)
    discard = _call(op.runs.discard)
    cancel_runs = _call(op.bulk.cancel_runs)
    retry_runs = _call(op.bulk.retry_runs)
    discard_runs = _call(op.bulk.discard_runs)
    dead_letters = _call(op.dead_letters.dead_letters)
    wait = _call(op.waiting.wait)
    run = _call(op.runs.run)
    runs = _call(op.runs.runs)
    run_ids = _call(op.runs.run_ids)
    count_runs = _call(op.runs.count_runs)
    last_outcomes = _call(op.outcomes.last_outcomes)
    run_log = _call(op.runs.run_log)
    attempts = _call(op.runs.attempts)
    run_counts = _call(op.run_counts.run_counts)
    unfinished = _call(op.run_counts.unfinished)

    # Calendars
    calendars = _call(op.calendars.calendars)
    set_calendar = _call(op.calendars.set_calendar)
    remove_calendar = _call(op.calendars.remove_calendar)

    # Keys of the REST API
    create_key = _call(op.keys.create_key)
    keys = _call(op.keys.keys)
    revoke_key = _call(op.keys.revoke_key)
    verify_key = _call(op.keys.verify_key)

    # Queues, limits and the switch
    pause_queue = _call(op.queues.pause_queue)
    resume_queue = _call(op.queues.resume_queue)
    set_queue = _call(op.queues.set_queue)
    set_limit = _call(op.queues.set_limit)
    remove_limit = _call(op.queues.remove_limit)
    limits = _call(op.queues.limits)
    stop_all = _call(op.queues.stop_all)
    start_all = _call(op.queues.start_all)

    # Notices
    notify = _call(op.notices.notify)
    notice_rules = _call(op.notices.notice_rules)
    add_notice_rule = _call(op.notices.add_notice_rule)
    remove_notice_rule = _call(op.notices.remove_notice_rule)
    notices = _call(op.notices.notices)
    notice = _call(op.notices.notice)
    retry_notice = _call(op.notices.retry_notice)
    send_test_notice = _call(op.notices.send_test_notice)
    send_notices = _call(op.notices.send_notices)

    # Status, health and events
    status = _call(op.status.status)
    health = _call(op.status.health)
    counts = _call(op.measures.counts)
    throughput = _call(op.throughput.throughput)
    attention = _call(op.attention.attention)
    workers = _call(op.workers.workers)
    drain_worker = _call(op.workers.drain_worker)
    events = _call(op.events.events)
    event_position = _call(op.events.event_position)
    events_beyond = _call(op.events.events_beyond)
    activity = _call(op.events.activity)
    examine = _call(op.doctor.examine)

    # The worker of this process
    use_database = _call(op.lifecycle.use_database)
    configure_worker = _call(op.lifecycle.configure_worker)
    prepare = _call(op.lifecycle.prepare)
    start = _call(op.lifecycle.start)
    stop = _call(op.lifecycle.stop)
    skip_grace = _call(op.lifecycle.skip_grace)
    running = _call(op.lifecycle.running)
    within = _call(op.lifecycle.within)
    tick = _call(op.lifecycle.tick)
    run_due = _call(op.lifecycle.run_due)
    wake = _call(op.lifecycle.wake)
    in_flight = _call(op.lifecycle.in_flight)
    load = _call(op.measures.load)
    observe = _call(op.measures.observe)
    attach = _call(op.lifecycle.attach)
    around = _call(op.lifecycle.around)
    on = _call(op.events.on)

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Run the scheduler as an ASGI lifespan: ``FastAPI(lifespan=scheduler.lifespan)``.

        Coroutine jobs run on the application's own event loop.

        Args:
            app: the application, which functions reach as ``run.app``. If it has a ``state``, as
                in Starlette and FastAPI, the scheduler is stored as ``app.state.duly``.
        """
        if hasattr(app, "state"):
            app.state.duly = self
        if app is not None:
            self.app = app
        await self.aio.start()
        try:
            yield
        finally:
            await self.aio.stop()

    def __repr__(self) -> str:
        return f"<Scheduler {self.settings.name!r} on {self.store}>"


@explains_names(_AWAITABLE, "'Aio' object")
class Aio(AwaitableEnqueue):
    """A scheduler's calls as awaitables, for coroutines: ``await scheduler.aio.add(...)``.

    `Aio.job` looks a job up; jobs are declared with `Scheduler.job`. Calls that return at once,
    such as `Scheduler.task` and `Scheduler.on`, have no awaitable form.

    A call runs in a thread of the scheduler's own, so that it does not block the event loop. At
    most 16 calls may wait for runs at once (`tick`, `run_due`, and `run_now` with ``wait``); a
    further one raises `TooManyWaiting`. With an asyncio session a call becomes part of that
    session's transaction, through SQLAlchemy's ``run_sync``.
    """

    # Jobs in code
    job = _awaitable(op.jobs.find.job)
    orphans = _awaitable(op.declare.orphans)

    # Calling tasks
    enqueue_many = _awaitable(op.enqueue.enqueue_many)

    # Jobs
    add = _awaitable(op.jobs.add.add)
    add_many = _awaitable(op.jobs.add.add_many)
    sync = _awaitable(op.jobs.sync.sync)
    edit = _awaitable(op.jobs.edit.edit)
    reset = _awaitable(op.jobs.edit.reset)
    pause = _awaitable(op.jobs.pause.pause)
    resume = _awaitable(op.jobs.pause.resume)
    remove = _awaitable(op.jobs.pause.remove)
    jobs = _awaitable(op.jobs.find.jobs)
    job_ids = _awaitable(op.jobs.find.job_ids)
    count_jobs = _awaitable(op.jobs.find.count_jobs)
    next_fires = _awaitable(op.jobs.find.next_fires)
    missed = _awaitable(op.jobs.find.missed)
    declaration = _awaitable(op.jobs.declaration.declaration)
    neighbours = _awaitable(op.jobs.neighbours.neighbours)

    # Runs
    run_now = _awaitable(op.runs.run_now, waits=lambda options: options.get("wait") is not None)
    backfill = _awaitable(op.backfill.backfill)
    cancel = _awaitable(op.runs.cancel)
    reschedule = _awaitable(op.runs.reschedule)
    retry = _awaitable(op.runs.retry)
    discard = _awaitable(op.runs.discard)
    cancel_runs = _awaitable(op.bulk.cancel_runs)
    retry_runs = _awaitable(op.bulk.retry_runs)
    discard_runs = _awaitable(op.bulk.discard_runs)
    dead_letters = _awaitable(op.dead_letters.dead_letters)

    wait = _awaitable_wait(op.waiting.wait, op.waiting.wait_async)
    run = _awaitable(op.runs.run)
    runs = _awaitable(op.runs.runs)
    run_ids = _awaitable(op.runs.run_ids)
    count_runs = _awaitable(op.runs.count_runs)
    last_outcomes = _awaitable(op.outcomes.last_outcomes)
    run_log = _awaitable(op.runs.run_log)
    attempts = _awaitable(op.runs.attempts)
    run_counts = _awaitable(op.run_counts.run_counts)
    unfinished = _awaitable(op.run_counts.unfinished)

    # Calendars
    calendars = _awaitable(op.calendars.calendars)
    set_calendar = _awaitable(op.calendars.set_calendar)
    remove_calendar = _awaitable(op.calendars.remove_calendar)

    # Keys of the REST API
    create_key = _awaitable(op.keys.create_key)
    keys = _awaitable(op.keys.keys)
    revoke_key = _awaitable(op.keys.revoke_key)
    verify_key = _awaitable(op.keys.verify_key)

    # Queues, limits and the switch
    pause_queue = _awaitable(op.queues.pause_queue)
    resume_queue = _awaitable(op.queues.resume_queue)
    set_queue = _awaitable(op.queues.set_queue)
    set_limit = _awaitable(op.queues.set_limit)
    remove_limit = _awaitable(op.queues.remove_limit)
    limits = _awaitable(op.queues.limits)
    stop_all = _awaitable(op.queues.stop_all)
    start_all = _awaitable(op.queues.start_all)

    # Notices
    notice_rules = _awaitable(op.notices.notice_rules)
    add_notice_rule = _awaitable(op.notices.add_notice_rule)
    remove_notice_rule = _awaitable(op.notices.remove_notice_rule)
    notices = _awaitable(op.notices.notices)
    notice = _awaitable(op.notices.notice)
    retry_notice = _awaitable(op.notices.retry_notice)
    send_test_notice = _awaitable(op.notices.send_test_notice)
    send_notices = _awaitable(op.notices.send_notices)

    # Status, health and events
    status = _awaitable(op.status.status)
    health = _awaitable(op.status.health)
    counts = _awaitable(op.measures.counts)
    throughput = _awaitable(op.throughput.throughput)
    attention = _awaitable(op.attention.attention)
    workers = _awaitable(op.workers.workers)
    drain_worker = _awaitable(op.workers.drain_worker)
    events = _awaitable(op.events.events)
    event_position = _awaitable(op.events.event_position)
    events_beyond = _awaitable(op.events.events_beyond)
    activity = _awaitable(op.events.activity)
    examine = _awaitable(op.doctor.examine)

    # The worker of this process
    prepare = _awaitable(op.lifecycle.prepare)
    start = _awaitable_step(op.lifecycle.start)
    stop = _awaitable_stop(op.lifecycle.stop)
    tick = _awaitable_step(op.lifecycle.tick, waits=lambda options: options.get("wait", True))
    run_due = _awaitable_step(op.lifecycle.run_due, waits=lambda _options: True)


UPKEEP = Upkeep(
    prepare=op.lifecycle.bring_up_to_date,
    reconcile=op.declare.reconcile,
    report=op.problems.report,
    run_at_start=op.at_start.run_at_start,
)
