"""What every part of the scheduler works with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from duly import forking
from duly.clock import Clock
from duly.context import current_run
from duly.errors import DatabaseUnavailable, LifecycleError
from duly.model.event import Event
from duly.model.settings import Settings
from duly.model.zone_data import tzdb_version
from duly.operations import zone_data as zone_changes
from duly.operations.events import Listeners
from duly.operations.jobs.declarations import declare, revive, settle, unresolved
from duly.operations.jobs.definition import CODE, Definition
from duly.operations.pings import Pings
from duly.registry import Registry
from duly.store import declarations
from duly.store.dialect import IDLE_LIMIT_S
from duly.store.notifier import Notifier
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.url import Later, parse_url
from duly.worker.worker import Worker

log = logging.getLogger("duly")


class Wiring:
    """The scheduler's services, and how they meet.

    Attributes:
        takes_database: whether it was made without a URL, so that `use_database` says which.
    """

    def __init__(self, url: str | Literal[Later.LATER], settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.registry = Registry()
        self.takes_database = url is Later.LATER
        self.store = Store(url, clock) if url is Later.LATER else self._new_store(url)
        self._notifier = self._new_notifier()
        self._listeners = Listeners()
        self._pings = Pings()
        self.store.announce, self.store.hears = self._announce, self._listeners.hear
        self._declared: dict[str, Definition] = {}
        self._told: set[tuple[str, ...]] = set()
        self._inherited: list[Worker] = []
        self._stepping = threading.Lock()
        self._engine = self._new_engine()
        forking.remember(self)

    @property
    def has_database(self) -> bool:
        """Whether it is known by now which one."""
        return self.store.is_known

    def use_database(self, url: str) -> None:
        """Say which database, where jobs are declared before that is known: after ``Scheduler()``.

        Args:
            url: as for `Scheduler`. It may be said again while nothing runs: tests that make one
                application after the other give each a database of its own.

        Raises:
            DatabaseURLError: the URL cannot be used.
            LifecycleError: the scheduler runs, or was made with a URL.
        """
        if not self.takes_database:
            raise LifecycleError(f"this scheduler was made with a URL already: {self.store}")
        if self._engine.state != "stopped" or self._engine.lease.alive:
            raise LifecycleError(f"the scheduler works on {self.store}; stop() it first")
        former, self.store = self.store, self._new_store(url)
        self.store.announce, self.store.hears = self._announce, self._listeners.hear
        self._notifier.settle()
        former.dispose()
        self._notifier = self._new_notifier()
        self._renew_engine()

    def prepare(self) -> None:
        """Make or migrate the tables and store what code declares; `start` and `tick` do it.

        Raises:
            DatabaseUnavailable: the database does not answer.
            SchemaTooNew: a newer Duly wrote the tables.
        """
        self.store.prepare()
        kept, lost = self.store.run(self._bring_in)
        self._follow_zone_data()
        self._tell_kept(kept)
        self._tell_orphans(lost)

    def _bring_in(self, tx: Transaction) -> tuple[dict[str, str], list[str]]:
        kept = declare(tx, dict(self._declared), self.settings.release)
        revive(tx, self.registry)
        return kept, declarations.orphans(tx.conn, self.settings.name)

    def _follow_zone_data(self) -> None:
        with self.store.read() as conn:
            news, behind = zone_changes.is_news(conn), zone_changes.is_behind(conn)
        if behind:
            log.warning(
                "this process has older time zone data (%s) than others of its fleet: give all "
                "the same, for example by updating the package tzdata", tzdb_version(),
            )  # fmt: skip
        after: str | None = "" if news else None
        while after is not None:
            with self.store.write() as tx:
                after = zone_changes.follow(tx, after)

    def declared(self) -> list[Definition]:
        """The jobs that code declares, as it declares them."""
        return list(self._declared.values())

    def before_fork(self) -> None:
        """In the parent: a fork waits until none of this scheduler's transactions is open."""
        self.store.before_fork()

    def after_fork_in_parent(self) -> None:
        """In the parent: everything goes on."""
        self.store.after_fork_in_parent()

    def after_fork(self) -> None:
        """In a forked child: nothing runs here, and what the parent runs is none of its business.

        The child may declare, ask, enqueue, and start a worker of its own.
        """
        self.store.after_fork()
        self._stepping = threading.Lock()
        self._notifier, self._pings = self._new_notifier(), Pings()
        parents = self._renew_engine()
        if parents.lease.locks is not None:
            parents.lease.locks.forsake()
        self._inherited.append(parents)  # collected, it would close the parent's connections

    def _tend(self) -> None:
        """Bring stored jobs in line with what this process knows and what others still declare."""
        held, worker_id = self.settings, self._engine.lease.worker_id
        own = set(self._declared)
        with self.store.read() as conn:
            unread = unresolved(conn)
            faded = declarations.faded(conn, held.release, own, worker_id)
        if unread:
            with self.store.write() as tx:
                revive(tx, self.registry)
        if faded:
            pauses = held.orphans == "pause"
            lost = self.store.run(
                lambda tx: settle(tx, held.release, own, worker_id, pauses=pauses), actor=CODE
            )
            self._tell_orphans(lost)

    def _tell_orphans(self, job_ids: list[str]) -> None:
        """Once in each process; the audit trail has it once for all."""
        for job_id in job_ids:
            if self._is_news("orphan", job_id):
                log.warning(
                    "job %r was declared by the code of %r and is not any more; %s until "
                    "somebody removes it, or code declares it again", job_id, self.settings.name,
                    "it is paused" if self.settings.orphans == "pause" else "it goes on",
                )  # fmt: skip

    def _tell_kept(self, kept: Mapping[str, str]) -> None:
        """Likewise."""
        for job_id, by in kept.items():
            if self._is_news("kept", job_id, by):
                log.warning(
                    "what this process declares of job %r is passed over: it is older (%s) than "
                    "version %s of %r; to go back on purpose, deploy it under a higher version",
                    job_id, self.settings.version or "no version", by, self.settings.name,
                )  # fmt: skip

    def _is_news(self, *what: str) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True

    def _new_store(self, url: str) -> Store:
        """Return the database; the simulation gives one whose transactions can fail."""
        settings, lease = self.settings, self.settings.heartbeat.lease
        return Store(url, self.clock, pooler=settings.pooler, idle_limit=min(IDLE_LIMIT_S, lease))

    def _new_engine(self) -> Worker:
        return Worker(
            self.store,
            self.registry,
            self.settings,
            self._notifier,
            prepare=self.prepare,
            tend=self._tend,
        )

    def _renew_engine(self) -> Worker:
        """Put a new engine in the place of one that is not used any more, and return that."""
        former, self._engine = self._engine, self._new_engine()
        self._engine.execution.around += former.execution.around
        return former

    def _new_notifier(self) -> Notifier:
        ear = None if self.settings.pooler else self.store.engine
        if self.settings.listen_url is not None and self.has_database:
            ear = self.store.dialect.create_engine(parse_url(self.settings.listen_url))
        return Notifier(self.store.engine, ear, self.store.dialect.notices)

    def _wake(self) -> None:
        """This process's engine looks at once at what was made, and others soon."""
        self._engine.wake()
        self._notifier.send()

    def _declare(self, wanted: Definition) -> None:
        """Keep a declaration; one that comes after the start is stored at once."""
        self._declared[wanted.id] = wanted
        if self._engine.state not in ("starting", "running") and not self._engine.lease.alive:
            return
        try:
            kept = self.store.run(
                lambda tx: declare(tx, {wanted.id: wanted}, self.settings.release)
            )
        except DatabaseUnavailable:
            if self._engine.lease.alive:
                raise
            return  # it is stored with all the others as soon as the database answers
        self._tell_kept(kept)

    @contextmanager
    def _write(self, actor: str | None = None, *, single: bool = False) -> Iterator[Transaction]:
        """A transaction of Duly's own; this process's engine looks at once at what it made."""
        self._refuse_behind_lock()
        with self.store.write(actor, single=single) as tx:
            yield tx
        self._wake()

    def _refuse_behind_lock(self) -> None:
        """A transactional function would wait for the lock that its own transaction holds."""
        run = current_run.get()
        if run is None or run.given_session is None or self.store.dialect.session_limit is None:
            return
        raise LifecycleError(
            f"a transactional function (task {run.task!r}) holds the write lock of {self.store}; "
            "make this call part of its transaction: session=session, or make it elsewhere"
        )

    def _transaction(
        self, session: object | None, actor: str | None
    ) -> AbstractContextManager[Transaction]:
        """A transaction of Duly's own, or the caller's."""
        if session is None:
            return self._write(actor)
        from duly.store.host.transaction import join  # noqa: PLC0415 - brings the ORM: 50 ms

        return join(self.store, session, actor, self._joined)

    def _joined(self, facts: list[Event]) -> None:
        """The caller has committed what was done on its session."""
        self._announce(facts)
        self._wake()

    def _announce(self, facts: list[Event]) -> None:
        self._listeners.tell(facts)
        self._pings.tell(facts)
