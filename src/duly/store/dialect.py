"""What a database must be able to do for Duly; each sibling module does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from sqlalchemy import URL, Connection, Engine, Row, Table
from sqlalchemy.exc import DBAPIError

from duly.model.finding import Finding
from duly.store.notifier import NoticeDialect

IDLE_LIMIT_S = 20.0
"""A server ends a transaction of Duly's whose process has stood still for so long."""


class Choice(Enum):
    """Which runs a claim may take.

    ``PLAIN``: runs of a queue without a concurrency key, in claim order. Parameters:
    ``claim_queue``, ``now``, ``tasks`` (a list), ``limit``.

    ``PREFETCH``: those of them that may be claimed before a slot is free. A unique key that is
    released at the claim must not be released before the run starts. The same parameters.

    ``LISTED``: those of the runs in ``ids`` that are ready.
    """

    PLAIN = auto()
    PREFETCH = auto()
    LISTED = auto()


class Mark(NamedTuple):
    """A place in claim order: before it, no run of this priority is to be claimed."""

    priority: int
    due_at: datetime
    id: str


class StoreDialect(Protocol):
    """One database.

    Attributes:
        name: as SQLAlchemy names it.
        has_server_clock: whether a server has a clock that all workers follow.
        leases_by_heartbeat: whether a worker is alive as long as its heartbeat renews its lease;
            otherwise it holds a file lock, which the kernel frees when the process dies.
        many_writers: whether transactions can write at the same time, so that they lock rows;
            otherwise a transaction that writes makes all other writers wait.
        has_change_counter: whether a connection can ask cheaply if others have committed.
        session_limit: seconds that a transactional function may hold its transaction open where
            that stops all other writers; ``None``: as long as it likes.
        transactional_ddl: whether a table is made when the transaction commits, or at once.
        keeps_dead: whether each claim would pass the index entries of all runs claimed before, as
            long as anybody holds an old snapshot; then it can begin at marks.
        notices: how processes wake each other; ``None``: they cannot.
        reading: execution options of a connection that only reads.
        single: those of a connection on which a statement is a transaction; empty: there are none.
    """

    name: str
    has_server_clock: bool
    leases_by_heartbeat: bool
    many_writers: bool
    has_change_counter: bool
    transactional_ddl: bool
    keeps_dead: bool
    session_limit: float | None
    notices: NoticeDialect | None
    reading: Mapping[str, Any]
    single: Mapping[str, Any]

    def create_engine(self, url: URL) -> Engine:
        """An engine with the settings that Duly's promises need."""

    def heartbeat_engine(self, url: URL, patience: float) -> Engine | None:
        """One connection for a heartbeat, apart from all others.

        Args:
            url: the database.
            patience: seconds after which connecting, waiting for a lock or an answer should fail.

        Returns:
            ``None`` where no wait for the database can make a worker lose its lease.
        """

    def begin_write(self, conn: Connection) -> None:
        """Take whatever a transaction needs before it reads what it is going to change."""

    def begin_session(self, conn: Connection) -> None:
        """Make a transaction of the host's own engine, in which nothing was done, a writer's."""

    def holds_session(self, conn: Connection) -> bool:
        """Whether a statement would still belong to that transaction, as far as can be told."""

    def cut_session(self, conn: Connection) -> None:
        """Roll back another thread's transaction; whatever that thread still executes fails."""

    def server_identity(self, conn: Connection) -> str:
        """Which server answers, and which line of its history (≤ 64 characters).

        Another answer means that what was committed last may be gone. Empty: nobody can know.
        """

    def server_time(self, conn: Connection) -> datetime:
        """The database server's present instant."""

    def examine(self, conn: Connection, processes: int) -> list[Finding]:
        """What there is to say about the database's version, its settings and who holds it up.

        Args:
            conn: a connection.
            processes: how many processes take part now, as far as they have beaten.
        """

    def migration_lock(self, conn: Connection) -> AbstractContextManager[None]:
        """Held by the one process that changes the tables."""

    def lock_rows(self, statement: Any, *, skip_locked: bool = False, share: bool = False) -> Any:
        """The SELECT with row locks, where the database has them."""

    def upsert(
        self, conn: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]
    ) -> None:
        """Insert a row or overwrite the one with the same keys."""

    def claim(
        self,
        conn: Connection,
        claim: Mapping[str, Any],
        choice: Choice = Choice.PLAIN,
        marks: Sequence[Mark] = (),
    ) -> Sequence[Row[Any]]:
        """Make ready runs running, and return them in claim order.

        Args:
            conn: the connection.
            claim: ``claim`` (the claim's id), ``worker``, ``now``, and the parameters of the
                choice.
            choice: which runs.
            marks: pass over what lies before the mark of its priority, where `keeps_dead`; sorted,
                one for each priority at most.
        """

    def is_missing_table(self, error: DBAPIError) -> bool:
        """Whether the server said that there is no such table."""

    def is_unavailable(self, error: BaseException) -> bool:
        """Whether a driver's error means that the database does not answer."""

    def is_transient(self, error: BaseException) -> bool:
        """Whether a driver's error means that the same transaction may succeed if run again."""
