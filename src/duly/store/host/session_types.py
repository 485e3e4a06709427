"""The types of the sessions and connections that a host application may pass.

SQLAlchemy's ORM takes 50 ms to import, so only type checkers see these imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    class DriverConnection(Protocol):
        """A connection of a driver: sqlite3's, psycopg's or PyMySQL's."""

        def cursor(self, *args: Any, **options: Any) -> Any:
            """Return a cursor."""

        def commit(self) -> None:
            """Commit the transaction."""

        def rollback(self) -> None:
            """Roll the transaction back."""

        def close(self) -> None:
            """Close the connection."""

    HostSession: TypeAlias = (
        Session
        | scoped_session[Any]
        | Connection
        | AsyncSession
        | async_scoped_session[Any]
        | AsyncConnection
        | DriverConnection
    )
    OrmSession: TypeAlias = Session
    OrmAsyncSession: TypeAlias = AsyncSession
else:
    HostSession = OrmSession = OrmAsyncSession = object
