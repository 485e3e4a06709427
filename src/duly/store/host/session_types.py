"""The types of the sessions and connections that a host application may pass.

SQLAlchemy's ORM takes 50 ms to import, so only type checkers see these imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    HostSession: TypeAlias = (
        Session
        | scoped_session[Any]
        | Connection
        | AsyncSession
        | async_scoped_session[Any]
        | AsyncConnection
    )
    OrmSession: TypeAlias = Session
    OrmAsyncSession: TypeAlias = AsyncSession
else:
    HostSession = OrmSession = OrmAsyncSession = object
