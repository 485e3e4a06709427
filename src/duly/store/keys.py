"""Keys of the REST API, found by their digests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from duly.model import payload
from duly.model.key import KeyRecord
from duly.store.tables import key
from duly.store.transaction import Transaction


def add(tx: Transaction, record: KeyRecord, digest: str) -> None:
    """Store a new key."""
    owners = None if record.owners is None else payload.encode(list(record.owners))
    values = {name: getattr(record, name) for name in KeyRecord.layout.names}
    tx.conn.execute(insert(key).values(**{**values, "owners": owners, "digest": digest}))


def all_keys(conn: Connection) -> list[KeyRecord]:
    """Return all keys, newest first."""
    rows = conn.execute(select(key).order_by(key.c.created_at.desc(), key.c.id))
    return [_record(row) for row in rows]


def by_digest(conn: Connection, digest: str) -> tuple[KeyRecord, str] | None:
    """Return the key with a digest, and the digest as it is stored."""
    row = conn.execute(select(key).where(key.c.digest == digest)).one_or_none()
    return None if row is None else (_record(row), row.digest)


def lock(tx: Transaction, key_id: str) -> KeyRecord | None:
    """Lock a key and return it, if it exists."""
    row = tx.conn.execute(tx.dialect.lock_rows(select(key).where(key.c.id == key_id))).one_or_none()
    return None if row is None else _record(row)


def revoke(tx: Transaction, key_id: str) -> None:
    """Revoke a locked key."""
    tx.conn.execute(update(key).where(key.c.id == key_id).values(revoked_at=tx.now))


def mark_used(tx: Transaction, key_id: str, before: datetime) -> None:
    """Store that a key is used now, unless its last stored use is later than ``before``."""
    stale = key.c.last_used_at.is_(None) | (key.c.last_used_at <= before)
    tx.conn.execute(update(key).where(key.c.id == key_id, stale).values(last_used_at=tx.now))


def _record(row: Row[Any]) -> KeyRecord:
    values = {name: row._mapping[name] for name in KeyRecord.layout.names}
    owners: Sequence[str] | None = payload.decode(row.owners) if row.owners else None
    return KeyRecord(**{**values, "owners": None if owners is None else tuple(owners)})
