"""Open and close the sessions of transactional functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import NullPool
from sqlalchemy.orm import Session, scoped_session

from duly.errors import ConfigurationError, TransactionError
from duly.store.dialects import sqlite
from duly.store.store import Store
from duly.store.url import parse_async_url


class AsyncSessionLike(Protocol):
    """The part of SQLAlchemy's ``AsyncSession`` that is used here, without importing it."""

    sync_session: Session

    async def run_sync(self, call: Callable[[Session], Any]) -> Any:
        """Call a plain function that works on `sync_session`."""

    async def close(self) -> None:
        """Roll back an open transaction and release the connection."""


class Sessions:
    """Sessions on one database.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._async_engine: Any = None

    def open(self, factory: bool | Callable[[], Any]) -> Session:
        """Open a session for a plain function.

        Args:
            factory: ``True``: a session of Duly's own; otherwise the host's function that returns
                a session, or a connection of the database's driver.

        Raises:
            ConfigurationError: the factory returned something else.
            TransactionError: it returned a connection on which a transaction is open.
        """
        session = Session(self._store.engine) if isinstance(factory, bool) else factory()
        if self._store.drivers.accepts(session):
            return self._over_driver(session)
        if isinstance(session, scoped_session):
            session = session()
        if not isinstance(session, Session):
            wanted = f"an SQLAlchemy Session or a {self._store.drivers.kind} for a plain function"
            raise _wrong(session, wanted)
        return session

    def open_async(self, factory: bool | Callable[[], Any]) -> AsyncSessionLike:
        """Open a session for a coroutine function; see `open`."""
        if isinstance(factory, bool):
            return self._own_async()
        session: AsyncSessionLike = factory()
        if not isinstance(getattr(session, "sync_session", None), Session):
            raise _wrong(session, "an AsyncSession for a coroutine function")
        return session

    def close(self, factory: bool | Callable[[], Any], session: Session) -> None:
        """Roll back an open transaction and close the session."""
        remove = getattr(factory, "remove", None)
        session.close() if remove is None else remove()

    async def close_async(
        self, factory: bool | Callable[[], Any], session: AsyncSessionLike
    ) -> None:
        """See `close`."""
        remove = getattr(factory, "remove", session.close)
        done = remove()
        if inspect.isawaitable(done):
            await done

    def _over_driver(self, driver: Any) -> Session:
        """Return a session that closes the driver's connection when it is closed."""
        if self._store.drivers.is_in_transaction(driver):
            raise TransactionError(
                "a transaction is open on the connection that the function of transactional= has "
                "returned; it must return a new one, or one that is not in use"
            )
        return Session(self._store.drivers.owned(driver))

    def _own_async(self) -> AsyncSessionLike:
        # Imported only where asyncio is used.
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: PLC0415

        if self._async_engine is None:
            # Without a pool no connection outlives its event loop or is inherited by a fork.
            url = parse_async_url(self._store.given_url)
            engine = create_async_engine(url, poolclass=NullPool)
            if engine.dialect.name == sqlite.SQLite.name:
                sqlite.prepare(engine.sync_engine)
            self._async_engine = engine
        return AsyncSession(self._async_engine)


def _wrong(session: object, wanted: str) -> ConfigurationError:
    kind = f"{type(session).__module__}.{type(session).__name__}"
    return ConfigurationError(f"the factory of transactional= must return {wanted}, not a {kind}")
