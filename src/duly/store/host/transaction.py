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
            bare connection, which does not report its commit.
        isolated: whether the work reads what is committed now, whatever the caller has read, and
            leaves nothing behind if it raises, even if the caller commits all the same. Work of a
            single statement that reads nothing needs neither.

    Raises:
        SchemaError: see `Store.join`.
        TransactionError: see `Store.join`.
    """
    conn, orm_session = connection_of(session)
    with store.join(conn, actor) as tx, _isolated(tx) if isolated else nullcontext():
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


def connection_of(session: object) -> tuple[Connection, Session | None]:
    """Return the connection of a caller's session, and the session if it is one of the ORM.

    Args:
        session: an SQLAlchemy `Session`, `scoped_session` or `Connection`.

    Raises:
        ConfigurationError: it is something else; an asyncio session needs ``scheduler.aio``.
    """
    if isinstance(session, scoped_session):
        session = session()
    if isinstance(session, Session):
        return session.connection(), session
    if isinstance(session, Connection):
        return session, None
    kind = f"{type(session).__module__}.{type(session).__name__}"
    if hasattr(session, "sync_session") or hasattr(session, "sync_connection"):
        raise ConfigurationError(
            f"session= is a {kind}; use the awaitable form: await scheduler.aio.…(session=…)"
        )
    raise ConfigurationError(
        f"session= is a {kind}; give an SQLAlchemy Session or Connection, and to scheduler.aio "
        "an AsyncSession or AsyncConnection"
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
