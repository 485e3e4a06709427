"""The guard of a transactional run's session: only the worker may end its transaction.

The order of one transactional run, all on one connection:

    begin            the session's transaction begins
    join             the connection leads to Duly's own database, and keeps the transaction open;
                     on SQLite it becomes the writer
    savepoint        a mark that only an unbroken transaction still has at its end
    the function     may flush, query, use savepoints, enqueue with ``session=``
    flush            whatever the session has not sent yet
    release          of the mark; it is missing if anything was committed behind the session's back
    completion       the run's own end, behind its fence (token, claim, state)
    commit           all of it, or nothing
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from duly.errors import TransactionError
from duly.store.host.guarded_connection import GuardedConnection
from duly.store.host.transaction import join
from duly.store.store import Store
from duly.store.transaction import Transaction

log = logging.getLogger("duly.worker")
_ENDS = re.compile(
    r"\s*(COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION|XA|SET\s+AUTOCOMMIT"
    r"|ROLLBACK(?!\s+(WORK\s+|TRANSACTION\s+)?TO))\b",
    re.IGNORECASE,
)
_ADVICE = (
    "the worker commits it after the function has returned; to undo a part, use "
    "session.begin_nested(); to commit in steps, use an ordinary task"
)


class SessionGuard:
    """Owns the outermost transaction of one session.

    Args:
        session: a new session without a transaction.
        store: the database that the session must lead to.

    Attributes:
        broken: what the function did to the transaction that forbids committing it.
        committed: whether the transaction is known to be committed.
    """

    def __init__(self, session: Session, store: Store) -> None:
        self._session = session
        self._store = store
        self._mark = f"duly_{secrets.token_hex(8)}"  # a name that no function can use by accident
        self._complete: Callable[[Transaction], None] = _nothing
        self._conn: Connection | None = None
        self._phase: Literal["function", "commit", "ended"] = "function"
        self._lock = threading.Lock()
        self._listening: list[tuple[Any, str, Callable[..., None]]] = []
        self.broken: TransactionError | None = None
        self.committed = False

    def begin(self) -> None:
        """Begin the transaction, and refuse from now on that the function ends it.

        Raises:
            TransactionError: the session cannot be guarded.
            SchemaError: the session leads to another database.
        """
        session = self._session
        if session.twophase:
            raise TransactionError("a two-phase session (twophase=True) cannot be transactional")
        if session.in_transaction() or _is_joined(session):
            raise TransactionError(
                "the session is already inside a transaction, which Duly did not begin; "
                "transactional=… must make a new session, bound to an engine"
            )
        conn = self._conn = session.connection()
        with join(self._store, session, None, self._store.announce, isolated=False):
            self._store.dialect.begin_session(conn)
        self._set_mark(conn)
        self._listen(session, "before_commit", self._before_commit)
        self._listen(session, "after_commit", self._after_commit)
        self._listen(session, "after_begin", self._after_begin)
        self._listen(session, "after_transaction_end", self._after_end)
        self._listen(conn, "commit", self._before_driver_commits)
        self._listen(conn, "before_cursor_execute", self._before_statement)

    @property
    def connection(self) -> GuardedConnection:
        """The driver's connection, for functions that use no SQLAlchemy."""
        driver = self._session.connection().connection.driver_connection
        return GuardedConnection(
            getattr(driver, "driver", driver), self._session, self._check_usable, self._refuse
        )

    def commit(self, complete: Callable[[Transaction], None]) -> None:
        """Flush, complete the run and commit, unless the function has broken the transaction.

        Args:
            complete: writes the run's completion; an error in it rolls everything back.

        Raises:
            TransactionError: the function has ended or broken the transaction.
        """
        with self._lock:
            if self.broken is not None:
                raise self.broken
            self._phase = "commit"
        self._complete = complete
        self._session.commit()

    def cut(self, why: str) -> None:
        """Roll back from another thread, unless the function has returned."""
        with self._lock:
            if self._phase != "function" or self._conn is None:
                return
            self.broken = TransactionError(why)
            try:
                self._store.dialect.cut_session(self._conn)
            except Exception:
                log.exception(
                    "A transaction that exceeded its time limit could not be rolled back."
                )

    def end(self) -> None:
        """Stop guarding; closing the session rolls back what is not committed."""
        with self._lock:
            # After a failed commit the driver may still be inside the transaction.
            failed = self._phase == "commit" and not self.committed
            self._phase = "ended"
        for target, name, listener in self._listening:
            event.remove(target, name, listener)
        if (failed or self.broken) and self._conn is not None and not self._conn.closed:
            self._conn.invalidate()

    def _set_mark(self, conn: Connection) -> None:
        try:
            conn.exec_driver_sql(f"SAVEPOINT {self._mark}")
        except SQLAlchemyError as error:
            raise TransactionError(
                f"the session keeps no transaction open (is it set to AUTOCOMMIT?): {error}"
            ) from error

    def _release(self, conn: Connection) -> None:
        try:
            conn.exec_driver_sql(f"RELEASE SAVEPOINT {self._mark}")
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            self._refuse(f"was ended behind the session's back ({error.orig})")

    def _listen(self, target: Any, name: str, listener: Callable[..., None]) -> None:
        event.listen(target, name, listener)
        self._listening.append((target, name, listener))

    def _refuse(self, what: str) -> NoReturn:
        if self.broken is None:
            message = f"the transaction of a transactional run {what}; {_ADVICE}"
            self.broken = TransactionError(message)
        raise self.broken

    def _check_usable(self) -> None:
        if self.broken is not None:
            raise self.broken
        if self._phase != "function":
            raise TransactionError(
                "run.connection() of a run that has ended: its transaction is finished, and the "
                "connection may belong to another one"
            )

    def _before_commit(self, session: Session) -> None:
        if session.in_nested_transaction():
            return
        if self._phase == "function":
            self._refuse("was about to be committed by the function")
        session.flush()
        conn = session.connection()
        self._release(conn)
        with join(self._store, session, None, self._store.announce, isolated=False) as tx:
            self._complete(tx)

    def _after_commit(self, session: Session) -> None:
        self.committed = self.committed or not session.in_nested_transaction()

    def _after_begin(self, _session: Session, _transaction: Any, conn: Connection) -> None:
        if self._phase == "function" and conn is not self._conn:
            self._refuse(f"was joined by a second connection, to {conn.engine.url!r}")

    def _after_end(self, _session: Session, transaction: Any) -> None:
        if self._phase == "function" and transaction.parent is None and self.broken is None:
            self._refuse("was rolled back, or its session closed, by the function")

    def _before_driver_commits(self, _conn: Connection) -> None:
        if self._phase == "function":
            self._refuse("was about to be committed by the function, on its connection")

    def _before_statement(self, conn: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if self.broken is not None:
            raise self.broken
        if self._phase == "function" and (_ENDS.match(statement) or self._mark in statement):
            self._refuse(f"was about to be ended by {statement.strip()[:40]!r}")
        if not self._store.dialect.holds_session(conn):
            self._refuse("was ended behind the session's back")


def _nothing(_tx: Transaction) -> None:
    """Do nothing: the completion until the function has returned."""


def _is_joined(session: Session) -> bool:
    bind = session.bind
    return isinstance(bind, Connection) and bind.in_transaction()
