"""The store: connections, transactions, and the translation of database errors to Duly's."""

from __future__ import annotations

import copy
import itertools
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Literal, Self, TypeVar

from sqlalchemy import Connection, Engine, Pool, event, inspect, make_url, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from duly.clock import Clock
from duly.errors import (
    DatabaseBusy,
    DatabaseUnavailable,
    DatabaseURLError,
    DataRefused,
    DulyError,
    SchemaError,
    StoreError,
)
from duly.model.actor import Actor
from duly.model.event import Event
from duly.model.identity import run_ids
from duly.store import schema, tables
from duly.store.dialect import IDLE_LIMIT_S
from duly.store.dialects.by_name import backend_of, dialect_of
from duly.store.driver_connections import DriverConnections
from duly.store.fork_gate import ForkGate
from duly.store.outage import Outage
from duly.store.server_time import ServerTime
from duly.store.transaction import OnEvents, Transaction
from duly.store.url import Later, is_in_missing_folder, missing_driver, parse_url

T = TypeVar("T")
_PLACEHOLDER = "sqlite:///no-database-yet"
"""The URL of a database that is not known yet; nothing ever connects to it."""

TRIES = 6
"""The number of times that a conflicting transaction is tried."""

PATIENCE = 10.0
"""Seconds after which a transaction that keeps conflicting with others is not tried again."""


class Store:
    """One database.

    Args:
        url: see `parse_url`; ``Later.LATER`` if it is not known yet: every use then fails.
        clock: this process's clock.
        pooler: whether the URL leads to a transaction pooler such as PgBouncer.
        idle_limit: seconds after which a server ends an idle transaction of Duly's and releases
            its locks.
        schema: the PostgreSQL schema of the tables; ``None``: the first of the search path.
        engine: a prepared engine to use instead of a new one.

    Attributes:
        is_known: whether its URL is known.
        outage: whether the database answers at present, as this process has found.
        database_id: the identity stored in the database; ``None`` until `prepare` has read it.
        announce: called with the events of each transaction of Duly's own, after its commit.
        on_events: called in each transaction with the events that it stores, before its commit.

    Raises:
        DatabaseURLError: the URL cannot be used. The database itself is not contacted here.
        ConfigurationError: a schema is given for a database that has none.
    """

    def __init__(
        self,
        url: str | Literal[Later.LATER],
        clock: Clock,
        *,
        pooler: bool = False,
        idle_limit: float = IDLE_LIMIT_S,
        schema: str | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.is_known = url is not Later.LATER
        given = _PLACEHOLDER if url is Later.LATER else url
        self.url = parse_url(given)
        self.given_url = make_url(given).set(database=self.url.database)
        self.clock = clock
        self.time = ServerTime(clock)
        backend = self.url.get_backend_name()
        try:
            self.dialect = dialect_of(backend, pooler=pooler, idle_limit=idle_limit, schema=schema)
            self.engine: Engine = engine or self.dialect.create_engine(self.url)
        except ModuleNotFoundError as error:
            raise missing_driver(self.url, error) from error
        self.outage = Outage(str(self), clock)
        self.outage.at_end(self.dispose)  # what is pooled may lead to the server before
        self.announce: Callable[[list[Event]], None] = lambda _events: None
        self.has_listener: Callable[[str], bool] = lambda _kind: False
        self.on_events: OnEvents | None = None
        self._ids = run_ids(clock)
        self.database_id: str | None = None
        self._parent_pools: list[Pool] = []
        self._gate = ForkGate()
        self._verified: weakref.WeakSet[Engine] = weakref.WeakSet()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True) if self.is_known else "no database yet"

    def prepare(self) -> None:
        """Connect, bring the tables up to date, and read the database's clock and identity.

        Raises:
            DatabaseUnavailable: it does not answer.
            SchemaTooNew: a newer Duly wrote the tables.
            SchemaError: this role may not create or change the tables.
        """
        if self.database_id is not None:
            return
        with self._translated():
            if not self.is_current():
                with self._translated(writing=True), self.engine.begin() as conn:
                    schema.upgrade(conn, self.dialect)
            with self._reading() as conn:
                self.read_clock(conn)
                self.database_id = _database_id(conn)

    def prepare_beside(self) -> None:
        """Call `prepare` while a transaction of the caller is open, which locks an SQLite database.

        Raises:
            SchemaError: the tables do not exist yet, and that transaction prevents creating them.
        """
        if self.database_id is None and not self.dialect.many_writers:
            with self._translated():
                current = self.is_current()
            if not current:
                raise SchemaError(
                    f"Duly's tables do not exist in {self} yet and cannot be created while your "
                    "transaction is open; call scheduler.prepare() or start() before it begins"
                )
        self.prepare()

    def read_clock(self, conn: Connection) -> None:
        """Measure the server's clock, if workers follow one."""
        if self.dialect.has_server_clock and self.clock.follows_database:
            self.time.measure(lambda: self.dialect.server_time(conn))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection for queries; on SQLite they all see one snapshot."""
        self.prepare()
        with self.read_unprepared() as conn:
            yield conn

    @contextmanager
    def read_unprepared(self) -> Iterator[Connection]:
        """Open a connection for queries; the tables may not exist yet."""
        with self._translated(), self._reading() as conn:
            yield conn

    @contextmanager
    def write(
        self, actor: str | Actor | None = None, *, single: bool = False
    ) -> Iterator[Transaction]:
        """Open a transaction of Duly's own; its events are announced after the commit.

        Args:
            actor: who acts, for the audit trail.
            single: whether it writes with one statement, its first. Where the dialect allows it,
                such a transaction takes one round trip instead of three.
        """
        self.prepare()
        begin = self._single if single and self.dialect.single else self.engine.begin
        with self._translated(writing=True), begin() as conn:
            self.dialect.begin_write(conn)
            transaction = self._transaction(conn, actor)
            yield transaction
            events = transaction.flush()
        if events:
            self.announce(events)

    def run(
        self,
        work: Callable[[Transaction], T],
        actor: str | Actor | None = None,
        *,
        single: bool = False,
    ) -> T:
        """Run work in a transaction of Duly's own, and run it again if it conflicts with others.

        Args:
            work: the whole transaction; it may be called several times.
            actor: who acts, for the audit trail.
            single: see `write`.

        Raises:
            DatabaseBusy: see `retry_conflicts`.
        """

        def once() -> T:
            with self.write(actor, single=single) as tx:
                return work(tx)

        return self.retry_conflicts(once)

    def retry_conflicts(self, call: Callable[[], T]) -> T:
        """Call a function that is one transaction; repeat it while it conflicts with others.

        Raises:
            DatabaseBusy: it conflicted `TRIES` times, or for `PATIENCE` seconds.
        """
        began = self.clock.monotonic()
        for tries in itertools.count(1):
            try:
                return call()
            except DatabaseBusy:
                if tries >= TRIES or self.clock.monotonic() - began >= PATIENCE:
                    raise
            self.clock.pause(random.uniform(0, 0.01 * 2**tries))
        raise AssertionError

    def for_heartbeat(self, patience: float) -> Self:
        """Return a store with a connection of its own for heartbeats, if the dialect needs one.

        Args:
            patience: the time limit of each of its operations, in seconds.
        """
        engine = self.dialect.heartbeat_engine(self.url, patience)
        if engine is None:
            return self
        heartbeat_store = copy.copy(self)
        heartbeat_store.engine = engine
        return heartbeat_store

    @cached_property
    def drivers(self) -> DriverConnections:
        """Connections that the host has opened with this database's driver."""
        return DriverConnections(self.dialect, self.engine)

    @contextmanager
    def join(self, conn: Connection, actor: str | Actor | None) -> Iterator[Transaction]:
        """Work inside the caller's transaction; its effects exist only if the caller commits.

        The caller stores the events, by `Transaction.flush`; see `host.transaction.join`.

        Args:
            conn: the connection of the caller's transaction.
            actor: who acts.

        Raises:
            SchemaError: the connection leads to another database, or the tables do not exist yet
                and the caller's open transaction prevents creating them.
            TransactionError: the caller could not roll back what is stored; see
                `StoreDialect.join_session`.
        """
        if backend_of(conn) == self.dialect.name:
            self.prepare_beside()
        else:
            self.prepare()
        with (
            self._translated(own=False),
            self.drivers.readable(conn),
            self.dialect.in_schema(conn),
        ):
            self.dialect.begin_write(conn)
            self._verify(conn)
            self.dialect.join_session(conn)
            yield self._transaction(conn, actor)

    def is_conflict(self, error: BaseException) -> bool:
        """Return whether an error means that a transaction conflicted and may be run again."""
        causes = (error, error.__cause__)
        return any(
            cause is not None and self.dialect.is_transient(self.drivers.as_raised(cause))
            for cause in causes
        )

    @property
    def connections_in_use(self) -> int:
        """The number of connections of this process that are in use now."""
        checked_out: Callable[[], int] = getattr(self.engine.pool, "checkedout", lambda: 0)
        return checked_out()

    def dispose(self) -> None:
        """Close all connections; one that is in use is closed when it is returned."""
        pool = self.engine.pool
        self.engine.dispose()
        event.listen(pool, "checkin", _close_returned)
        pool.dispose()  # what has been returned meanwhile

    def before_fork(self) -> None:
        """Wait until no transaction is open, and block new ones."""
        self._gate.close()

    def after_fork_in_parent(self) -> None:
        """Stop blocking new transactions."""
        self._gate.open()

    def after_fork(self) -> None:
        """In a forked child, leave the parent's connections alone and use new ones."""
        self._gate = ForkGate()
        self.outage.reset()
        self._parent_pools.append(self.engine.pool)  # garbage collection would close them
        self.engine.dispose(close=False)

    def _transaction(self, conn: Connection, actor: str | Actor | None) -> Transaction:
        transaction = Transaction(
            conn, self.dialect, self.time.now(), self._ids, actor, has_listener=self.has_listener
        )
        transaction.on_events = self.on_events
        return transaction

    def _single(self) -> Connection:
        return self.engine.connect().execution_options(**self.dialect.single)

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(**self.dialect.reading)

    def is_current(self) -> bool:
        """Return whether Duly's tables exist and are of this version; nothing is written.

        Raises:
            DatabaseUnavailable: it does not answer.
        """
        with self._translated(), self._reading() as conn:
            return schema.stored_version(conn) == schema.HEAD

    def _verify(self, conn: Connection) -> None:
        if conn.engine in self._verified:
            return
        if backend_of(conn) != self.dialect.name or self._known_id(conn) != self.database_id:
            url = conn.engine.url
            shown = f"is bound to {url!r}" if url.database else "leads to another database"
            raise SchemaError(
                f"session= {shown}, which is not the database of this "
                f"scheduler ({self}); changes that are committed together must be in one database. "
                "In a test, give testing(…, database=…) the URL of the session's database"
            )
        self._verified.add(conn.engine)

    def _known_id(self, conn: Connection) -> str | None:
        """Return the identity of a caller's database, without an error that ends its transaction.

        On MariaDB, where no error does, SQLAlchemy looks for the table in the database of the
        dialect's first connection.
        """
        try:
            return _database_id(conn) if inspect(conn).has_table(tables.control.name) else None
        except DBAPIError as error:
            if self.dialect.is_missing_table(error):
                return None
            raise

    def connect(self) -> Connection:
        """Return a connection of its own, outside of transactions; the caller closes it.

        Raises:
            DatabaseUnavailable: the database does not respond.
        """
        with self._translated():
            return self.engine.connect()

    @contextmanager
    def _translated(self, *, writing: bool = False, own: bool = True) -> Iterator[None]:
        """Translate errors of the database, and note whether it answers.

        Args:
            writing: whether the block writes.
            own: whether it works on a connection of Duly's own, not on the caller's.
        """
        if not self.is_known:
            raise DatabaseURLError(
                "this scheduler has no database URL: write Scheduler('sqlite:///app.db'), call "
                "scheduler.use_database(url), or in Flask set app.config['DULY_URL'] before "
                "init_app(app, scheduler)"
            )
        try:
            with self._gate.passage():
                yield
            if own and self.outage.is_on:
                self.outage.end(writing=writing)
        except PoolTimeout as error:
            raise DatabaseUnavailable(f"no free connection to {self}: {error}") from error
        except DBAPIError as error:
            translated = self._translate(error)
            if own and type(translated) is DatabaseUnavailable:
                self.outage.begin(translated, writing=writing)
            raise translated from error
        except StatementError as error:
            if isinstance(error.orig, DulyError):  # of a column that does not accept a value
                raise error.orig from None
            raise DataRefused(f"a value cannot be stored in {self}: {error}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"the database {self} could not be used: {error}") from error

    def _translate(self, error: DBAPIError) -> StoreError:
        if self.dialect.is_transient(error):
            return DatabaseBusy(
                f"this transaction conflicted with another one on {self} and stored nothing; "
                f"run it again from its beginning: {error.orig}"
            )
        if is_in_missing_folder(self.url):
            return DatabaseUnavailable(
                f"the folder of the database file {self.url.database} does not exist; create it"
            )
        if self.dialect.is_unavailable(error):
            return DatabaseUnavailable(f"the database {self} does not answer: {error.orig}")
        if self.dialect.is_ddl_forbidden(error):
            reason, *_rest = str(error.orig).splitlines()
            return SchemaError(
                f"Duly's tables in {self} do not exist yet or are those of an older version, and "
                f"this role may not create or change tables ({reason}). "
                "Let a role that may do it as a step of the deployment: duly db upgrade APP "
                "--url URL"
            )
        if "duly_" in str(error.orig) and self.dialect.is_missing_table(error):
            return SchemaError(f"Duly's tables are missing in {self}: {error.orig}")
        kind = DataRefused if isinstance(error, DataError | IntegrityError) else StoreError
        return kind(f"the database {self} refused: {error.orig}")


def _close_returned(_driver: object, entry: ConnectionPoolEntry) -> None:
    """Close a connection that is returned to a pool after `Store.dispose`."""
    entry.invalidate()


def _database_id(conn: Connection) -> str | None:
    statement = select(tables.control.c.value).where(tables.control.c.name == "database_id")
    database_id: str | None = conn.execute(statement).scalar()
    return database_id
