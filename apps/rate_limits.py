"""The rate limiter of all applications, which counts in their database and so across processes.

An attempt is counted before it is tried, in a transaction of its own. An attempt that should not
count, such as a sign-in that succeeded, is given back afterwards.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    MetaData,
    String,
    Table,
    Text,
    delete,
    select,
    update,
)  # fmt: skip
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from duly import Clock

_SECOND = 1_000_000
_PRUNE_EVERY = timedelta(minutes=1)
_PRUNE_AT_ONCE = 1_000


class RateLimited(Exception):
    """The limit has been reached.

    Attributes:
        retry_after: whole seconds until the next attempt is allowed.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts; the next one is allowed in {retry_after} s.")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of attempts in a sliding window.

    Attributes:
        name: separates the counts of this limit from those of others; part of what is stored.
        attempts: the number of attempts allowed within the window.
        window: its length.
    """

    name: str
    attempts: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted attempt, to be given back if it should not count."""

    id: str
    at: int


def rate_limit_table(metadata: MetaData) -> Table:
    """Return the table of the limiter, declared in the application's metadata.

    A row holds the times of the attempts of one key. The key is stored as a digest, because it may
    be an address of a person.
    """
    return Table(
        "rate_limits",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("attempts", Text, nullable=False),
        Column("expires_at", BigInteger, nullable=False, index=True),
    )


def has_expired(table: Table, now: datetime) -> ColumnElement[bool]:
    """Return the condition for rows that no limit needs any more."""
    return table.c.expires_at <= _microseconds(now)


def address_key(address: str) -> str:
    """Return the key of a client's network address.

    One customer has a whole /64 of IPv6 addresses, so these share a key.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), 64), strict=False))


class _Limiter:
    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._prune_at: datetime | None = None

    def _take(self, conn: Connection, limit: Limit, key: str) -> Attempt:
        """Count an attempt, or raise `RateLimited`."""
        table, row_id = self._table, _digest(limit, key)
        now, window = _microseconds(self._clock.now()), limit.window // timedelta(microseconds=1)
        conn.execute(self._locked_row(conn, row_id, now + window))
        stored = conn.scalars(
            select(table.c.attempts).where(table.c.id == row_id).with_for_update()
        ).one()
        recent = [at for at in json.loads(stored) if at > now - window]
        if len(recent) >= limit.attempts:
            wait = sorted(recent)[-limit.attempts] + window - now
            raise RateLimited(math.ceil(wait / _SECOND))
        self._store(conn, row_id, [*recent, now])
        return Attempt(row_id, now)

    def _give_back(self, conn: Connection, attempt: Attempt) -> None:
        """Remove an attempt from the count, unless it has left the window already."""
        table = self._table
        wanted = select(table.c.attempts).where(table.c.id == attempt.id).with_for_update()
        recent = json.loads(conn.scalar(wanted) or "[]")
        if attempt.at in recent:
            recent.remove(attempt.at)
            self._store(conn, attempt.id, recent)

    def _prune_is_due(self) -> bool:
        return self._prune_at is None or self._clock.now() >= self._prune_at

    def _prune(self, conn: Connection) -> None:
        """Delete rows that have expired, at most a thousand."""
        table, now = self._table, self._clock.now()
        expired = has_expired(table, now)
        ids = conn.scalars(
            select(table.c.id).where(expired).limit(_PRUNE_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()  # fmt: skip
        if ids:
            conn.execute(delete(table).where(table.c.id.in_(ids), expired))
        self._prune_at = now if len(ids) == _PRUNE_AT_ONCE else now + _PRUNE_EVERY

    def _store(self, conn: Connection, row_id: str, attempts: list[int]) -> None:
        table = self._table
        conn.execute(
            update(table).where(table.c.id == row_id).values(attempts=json.dumps(attempts))
        )

    def _locked_row(self, conn: Connection, row_id: str, expires_at: int) -> Insert:
        """Return the statement that adds the row of a key or changes it; it locks it either way."""
        values: dict[str, Any] = {"id": row_id, "attempts": "[]", "expires_at": expires_at}
        changed = {"expires_at": expires_at}
        if conn.dialect.name in ("mysql", "mariadb"):
            return mysql.insert(self._table).values(values).on_duplicate_key_update(changed)
        insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
        return (
            insert(self._table)
            .values(values)
            .on_conflict_do_update(index_elements=["id"], set_=changed)
        )


class RateLimiter(_Limiter):
    """Count attempts through an ordinary engine.

    Args:
        engine: the application's engine.
        table: see `rate_limit_table`.
        clock: the clock that measures windows.
    """

    def __init__(self, engine: Engine, table: Table, clock: Clock) -> None:
        super().__init__(table, clock)
        self._engine = engine

    def take(self, limit: Limit, key: str) -> Attempt:
        """Count an attempt of a key.

        Raises:
            RateLimited: the limit has been reached, so the attempt is not counted.
        """
        if self._prune_is_due():
            with self._engine.begin() as conn:
                self._prune(conn)
        with self._engine.begin() as conn:
            return self._take(conn, limit, key)

    def give_back(self, attempt: Attempt) -> None:
        """Remove a counted attempt from the count."""
        with self._engine.begin() as conn:
            self._give_back(conn, attempt)


class AsyncRateLimiter(_Limiter):
    """Count attempts through an async engine.

    Args:
        engine: the application's engine.
        table: see `rate_limit_table`.
        clock: the clock that measures windows.
    """

    def __init__(self, engine: AsyncEngine, table: Table, clock: Clock) -> None:
        super().__init__(table, clock)
        self._engine = engine

    async def take(self, limit: Limit, key: str) -> Attempt:
        """Count an attempt of a key.

        Raises:
            RateLimited: the limit has been reached, so the attempt is not counted.
        """
        if self._prune_is_due():
            async with self._engine.begin() as conn:
                await conn.run_sync(self._prune)
        async with self._engine.begin() as conn:
            return await conn.run_sync(self._take, limit, key)

    async def give_back(self, attempt: Attempt) -> None:
        """Remove a counted attempt from the count."""
        async with self._engine.begin() as conn:
            await conn.run_sync(self._give_back, attempt)


def _digest(limit: Limit, key: str) -> str:
    return hashlib.sha256(f"{limit.name}\0{key}".encode(errors="backslashreplace")).hexdigest()


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * _SECOND)
