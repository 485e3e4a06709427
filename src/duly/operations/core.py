"""The core that all operations share: settings, database, tasks, listeners and the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from duly import forking
from duly.clock import Clock
from duly.context import Run, current_run
from duly.errors import LifecycleError
from duly.model.actor import Actor
from duly.model.event import Event
from duly.model.finding import Finding
from duly.model.settings import Settings
from duly.model.worker import Heartbeat
from duly.notify.notices import Notices
from duly.operations.call_threads import CallThreads
from duly.operations.definition import Definition
from duly.operations.environment import Environment
from duly.operations.listeners import Listeners
from duly.operations.pings import Pings
from duly.registry import Registry
from duly.store.dialect import IDLE_LIMIT_S
from duly.store.host.session_types import HostSession
from duly.store.notifier import Notifier
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.url import Later, parse_url
from duly.worker.loop import State
from duly.worker.process_jobs import ProcessJob
from duly.worker.worker import Duties, Worker

R = TypeVar("R")
_YEAR = 366 * 86_400.0
ENDLESS_LEASE = Heartbeat(fence=31 * _YEAR, lease=32 * _YEAR)
"""For the only worker of a test's database, whose clock may jump by years."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The operations that the worker calls by itself.

    Attributes:
        prepare: creates or migrates the tables and stores declarations; called before the first
            step.
        reconcile: adapts stored jobs to the declarations of all processes; called periodically.
        report: logs the problems of the scheduler as a whole; called periodically.
        run_at_start: creates the runs of a start; called once after each start of the worker.
    """

    prepare: Callable[[Core], None]
    reconcile: Callable[[Core], None]
    report: Callable[[Core], None]
    run_at_start: Callable[[Core], None]


class Core:
    """The parts of one scheduler, and `transact`, its only way to a transaction.

    Args:
        url: the database URL, or `Later.LATER` if `use_database` will set it.
        settings: the scheduler's settings.
        clock: the clock of this process.
        upkeep: the operations that the worker calls.

    Attributes:
        registry: the registered tasks.
        store: the database.
        worker: the worker of this process; it is idle until it is started or stepped.
        listeners: the functions that are called with committed events.
        notices: the notices to people, and their rules.
        declared: the jobs that code declares, by id.
        process_jobs: the jobs that each process executes for itself, by id.
        declaring: the function of each of all these jobs, and the execution of its module.
        warned: the warnings that this process has logged, so that each is logged once.
        reported: the problems that this process has logged and that last, by their subjects.
        stepping: the lock of the thread that steps the worker while its own loop is not running.
        call_threads: the threads of awaitable calls.
        takes_database: whether the scheduler was created without a URL.
        environment: what replaces its database, clock and executors for a test, if anything does.
        serving: whether the scheduler has been started and not stopped, in an environment.
        leaves_work: whether this process leaves firing and executing to others, as far as it was
            prepared and has never been started.
    """

    store: Store
    worker: Worker
    _notifier: Notifier

    def __init__(
        self, url: str | Literal[Later.LATER], settings: Settings, clock: Clock, upkeep: Upkeep
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.registry = Registry(settings.executors)
        self.listeners = Listeners()
        self.declared: dict[str, Definition] = {}
        self.process_jobs: dict[str, ProcessJob] = {}
        self.declaring: dict[str, tuple[Callable[..., Any], object]] = {}
        self.warned: set[tuple[str, ...]] = set()
        self.reported: dict[str, Finding] = {}
        self.stepping = threading.Lock()
        self.call_threads = CallThreads()
        self.takes_database = url is Later.LATER
        self.environment: Environment | None = None
        self.serving = self.leaves_work = False
        self._upkeep = upkeep
        self._pings = Pings()
        self.notices = Notices(settings.name, settings.secrets)
        self._inherited: list[Worker] = []
        self._open(Store(url, clock) if url is Later.LATER else self.new_store(url))
        self.worker = self.new_worker()
        forking.remember(self)

    @property
    def has_database(self) -> bool:
        """Whether the database has been set."""
        return self.store.is_known

    @property
    def state(self) -> State:
        """The state of the worker; in an environment, where no loop runs, the one asked for."""
        return "running" if self.serving else self.worker.state

    @property
    def steps_itself(self) -> bool:
        """Whether a call that waits for a run must step the worker, because no loop does."""
        return self.worker.state == "stopped" and (
            self.worker.alive or self.environment is not None
        )

    def transact(
        self,
        work: Callable[[Transaction], R],
        *,
        session: HostSession | None = None,
        actor: str | Actor | None = None,
        single: bool = False,
    ) -> R:
        """Call ``work`` in one transaction: the caller's, or one of Duly's own.

        Duly's own is retried while it conflicts with others, and wakes workers after its commit.
        The caller's is neither retried nor committed here; its commit wakes workers. If ``work``
        raises, it leaves nothing behind in either.

        Args:
            work: everything in the transaction; with one of Duly's own it may be called again.
            session: the caller's session or connection.
            actor: who acts, for the audit trail.
            single: whether ``work`` executes a single statement; see `Store.write`.

        Raises:
            DatabaseBusy: it kept conflicting with others; see `Store.retry_conflicts`.
            LifecycleError: a transactional function holds the database's only write lock.
        """
        if session is not None:
            from duly.store.host.transaction import join  # noqa: PLC0415 - the ORM takes 50 ms

            with join(self.store, session, actor, self._host_committed, isolated=not single) as tx:
                return work(tx)
        self.refuse_deadlock()
        result = self.store.run(work, actor, single=single)
        self.wake()
        return result

    def refuse_deadlock(self) -> None:
        """Raise instead of waiting for a lock that the calling transactional function holds.

        Raises:
            LifecycleError: a transactional function holds the database's only write lock.
        """
        run = current_run.get()
        if run is None or run.given_session is None or self.store.dialect.session_limit is None:
            return
        raise LifecycleError(
            f"a transactional function (task {run.task!r}) holds the write lock of {self.store}; "
            "make this call part of its transaction: session=session, or make it elsewhere"
        )

    def own_run(self) -> Run | None:
        """Return the run that the caller belongs to, if this process's worker executes it."""
        run = current_run.get()
        return run if run is not None and self.worker.executes(run.id) else None

    def wake(self) -> None:
        """Make this process's worker look at the database now, and other workers soon."""
        self.worker.wake()
        self._notifier.send()

    def use_database(self, url: str) -> None:
        """Replace the current database by another one; the worker must be stopped."""
        store = self.new_store(url)
        self.close()
        self._open(store)
        self.renew_worker()

    @contextmanager
    def within(self, environment: Environment) -> Iterator[None]:
        """Use another database, clock and executors for the body of a ``with`` statement.

        Everything that refers to this core then uses them too. What code declares or registers in
        the body remains, because a module is imported only once.

        Raises:
            LifecycleError: the scheduler has been started, or is in another environment.
        """
        if self.environment is not None:
            raise LifecycleError(
                f"testing() is active for the scheduler {self.settings.name!r} already; leave that "
                "block first"
            )
        if self.worker.state != "stopped" or self.worker.alive:
            raise LifecycleError(
                f"the scheduler is running on {self.store}; call stop() before testing() begins"
            )
        own = (self.store, self._notifier, self.worker)
        settings, clock, warned = self.settings, self.clock, self.warned
        self.environment, self.clock, self.warned = environment, environment.clock, set()
        self.settings = replace(
            settings, heartbeat=ENDLESS_LEASE, fires=True, sole_worker=True, queues=self._queues()
        )
        self._open(environment.store)
        self.renew_worker()
        try:
            with self.listeners.counting(environment.listener):
                yield
        finally:
            try:
                self.worker.stop(0)
            finally:
                self.environment, self.serving = None, False
                self.settings, self.clock, self.warned = settings, clock, warned
                self.store, self._notifier, self.worker = own
                self.notices.use(self.store)

    def close(self) -> None:
        """Close the connections and end the threads, once all pending notices have been sent."""
        self._notifier.settle()
        self.call_threads.close()
        self.store.dispose()

    def new_store(self, url: str) -> Store:
        """Create the store; the simulation overrides this so that transactions can fail."""
        settings, lease = self.settings, self.settings.heartbeat.lease
        return Store(
            url,
            self.clock,
            pooler=settings.pooler,
            idle_limit=min(IDLE_LIMIT_S, lease),
            schema=settings.schema,
        )

    def new_worker(self) -> Worker:
        """Create a worker; the simulation overrides this to execute in virtual time."""
        duties = Duties(
            prepare=lambda: self._upkeep.prepare(self),
            reconcile=self._reconcile,
            run_at_start=lambda: self._upkeep.run_at_start(self),
        )
        worker = Worker(
            self.store, self.registry, self.settings, self._notifier, duties,
            process_jobs=self.process_jobs,
        )  # fmt: skip
        if self.environment is not None:
            worker.execution.executors = self.environment.executors
        return worker

    def _reconcile(self) -> None:
        self._upkeep.reconcile(self)
        self._upkeep.report(self)

    def renew_worker(self) -> Worker:
        """Replace the worker by a new one with the current settings; return the former one."""
        former, self.worker = self.worker, self.new_worker()
        self.worker.inherit(former)
        return former

    def before_fork(self) -> None:
        """Wait, in the parent, until this scheduler has no open transaction."""
        self.store.before_fork()

    def after_fork_in_parent(self) -> None:
        """Allow transactions again in the parent."""
        self.store.after_fork_in_parent()

    def after_fork(self) -> None:
        """Detach the child from the parent's worker and connections.

        The child may declare, query and enqueue, and start a worker of its own.
        """
        self.store.after_fork()
        self.stepping = threading.Lock()
        self._notifier, self._pings = self._new_notifier(), Pings()
        self.listeners.after_fork()
        self.notices.after_fork()
        inherited = self.renew_worker()
        inherited.abandon()
        self._inherited.append(inherited)  # its collection would close the parent's connections

    def _queues(self) -> dict[str, int]:
        """Return the queues of this process and those that code names."""
        named = {task.options.get("queue") for task in self.registry.tasks()}
        named |= {definition.options.queue for definition in self.declared.values()}
        return {**{name: 1 for name in named if name}, **self.settings.queues}

    def _open(self, store: Store) -> None:
        store.announce, store.has_listener = self._announce, self.listeners.wants
        self.store = store
        self.notices.use(store)
        self._notifier = self._new_notifier()

    def _new_notifier(self) -> Notifier:
        if self.environment is not None:
            return Notifier(self.store.engine, None, None)
        quiet = self.settings.pooler or self.settings.lent
        listening = None if quiet else self.store.engine
        if self.settings.listen_url is not None and self.has_database:
            listening = self.store.dialect.create_engine(parse_url(self.settings.listen_url))
        return Notifier(self.store.engine, listening, self.store.dialect.notices)

    def _host_committed(self, events: list[Event]) -> None:
        self._announce(events)
        self.wake()

    def _announce(self, events: list[Event]) -> None:
        self.listeners.notify(events, apart=self.worker.state != "stopped")
        self.notices.after_commit(events)
        if self.environment is None:
            self._pings.send_for(events)
