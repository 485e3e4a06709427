"""Take part in a transaction of the host application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from duly.errors import ConfigurationError
from duly.model.actor import Actor
from duly.model.event import Event
from duly.store.host.guarded_connection import GuardedConnection
from duly.store.store import Store
from duly.store.transaction import Transaction

SAVEPOINT = "duly_call"
_KEY = "duly_pending_events"
Committed = Callable[[list[Event]], None]


@contextmanager
def join(
    store: Store,
    session: object,
    actor: str | Actor | None,
    committed: Committed,
    *,
    isolated: bool = True,
) -> Iterator[Transaction]:
    """Work inside the caller's transaction; its effects exist only if the caller commits.

    Args:
        store: the scheduler's database.
        session: see `connection_of`.
        actor: who acts.
        committed: called with the events after the commit of a session. It is not called for a
            bare connection, of SQLAlchemy or of the driver, which does not report its commit.
        isolated: whether the work reads what is committed now, whatever the caller has read, and
            leaves nothing behind if it raises, even if the caller commits all the same. Work of a
            single statement that reads nothing needs neither.

    Raises:
        SchemaError: see `Store.join`.
        TransactionError: see `Store.join`.
    """
    with (
        connection_of(store, session) as (conn, orm_session),
        store.join(conn, actor) as tx,
        _isolated(tx) if isolated else nullcontext(),
    ):
        yield tx
        events = tx.flush()
    if orm_session is not None:
        call_after_commit(orm_session, events, committed)


@contextmanager
def _isolated(tx: Transaction) -> Iterator[None]:
    with tx.dialect.read_latest(tx.conn):
        tx.conn.exec_driver_sql(f"SAVEPOINT {SAVEPOINT}")
        try:
            yield
        except BaseException:
            with suppress(SQLAlchemyError):  # the database may have ended the transaction already
                tx.conn.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
                tx.conn.exec_driver_sql(f"RELEASE SAVEPOINT {SAVEPOINT}")
            raise
        tx.conn.exec_driver_sql(f"RELEASE SAVEPOINT {SAVEPOINT}")


@contextmanager
def connection_of(store: Store, session: object) -> Iterator[tuple[Connection, Session | None]]:
    """Provide the connection of a caller's session, and the session if it is one of the ORM.

    Args:
        store: the scheduler's database.
        session: an SQLAlchemy `Session`, `scoped_session` or `Connection`, or a connection of the
            database's driver.

    Raises:
        ConfigurationError: it is something else; an asyncio session needs ``scheduler.aio``.
    """
    if isinstance(session, GuardedConnection):
        session = session.session
    elif isinstance(session, scoped_session):
        session = session()
    if isinstance(session, Session):
        yield session.connection(), session
    elif isinstance(session, Connection):
        yield session, None
    elif store.drivers.accepts(session):
        with store.drivers.lent(session) as conn:
            yield conn, None
    else:
        raise _unsuitable(store, session)


def _unsuitable(store: Store, session: object) -> ConfigurationError:
    kind = f"{type(session).__module__}.{type(session).__name__}"
    if hasattr(session, "sync_session") or hasattr(session, "sync_connection"):
        return ConfigurationError(
            f"session= is a {kind}; use the awaitable form: await scheduler.aio.…(session=…)"
        )
    return ConfigurationError(
        f"session= is a {kind}; give an SQLAlchemy Session or Connection, or a connection of this "
        f"database's driver ({store.drivers.kind}), and to scheduler.aio an AsyncSession or "
        "AsyncConnection"
    )


def call_after_commit(session: Session, events: list[Event], committed: Committed) -> None:
    """Call ``committed`` with the events once the session's outermost transaction is committed.

    The events of a savepoint that is rolled back are dropped, as its rows are.
    """
    if _KEY not in session.info:
        session.info[_KEY] = []
        event.listen(session, "after_commit", _committed)
        event.listen(session, "after_transaction_end", _ended)
    session.info[_KEY].append((session.get_nested_transaction(), events, committed))


def _committed(session: Session) -> None:
    released = session.get_nested_transaction()
    if released is not None:
        _pass_to_enclosing(session, released)
        return
    pending, session.info[_KEY] = session.info[_KEY], []
    for _savepoint, events, committed in pending:
        committed(events)


def _pass_to_enclosing(session: Session, released: Any) -> None:
    """Pass the events of a released savepoint to the transaction that encloses it."""
    enclosing = released.parent if released.parent.nested else None
    session.info[_KEY] = [
        (enclosing if savepoint is released else savepoint, events, committed)
        for savepoint, events, committed in session.info[_KEY]
    ]


def _ended(session: Session, transaction: Any) -> None:
    """Drop the events of a transaction or savepoint that ended without being committed.

    SQLAlchemy's rollback event is not enough: a savepoint in which a flush failed has none.
    """
    is_outermost = transaction.parent is None
    session.info[_KEY] = [
        entry for entry in session.info[_KEY] if not is_outermost and entry[0] is not transaction
    ]
