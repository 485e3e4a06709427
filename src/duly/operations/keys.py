"""Operations on the keys of the REST API: create, list, revoke and verify them."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from duly.errors import KeyNotFound, StoreError
from duly.model.actor import Actor
from duly.model.checks import TIME, choice, label, optional, whole
from duly.model.identity import is_id, new_id
from duly.model.key import PREFIX, ROLES, CreatedKey, KeyRecord, Role, digest_of, new_key
from duly.operations.core import Core
from duly.operations.inputs import owner_names
from duly.store import keys as key_rows
from duly.store.host.session_types import HostSession
from duly.store.transaction import Transaction

USE_IS_STORED_EVERY = timedelta(minutes=1)
"""How often the last use of a key is stored at most."""

_name, _role, _rate, _expires = (
    label(180),
    choice(*ROLES),
    optional(whole(1, 1_000_000)),
    optional(TIME),
)


def create_key(
    core: Core,
    name: str,
    *,
    role: Role,
    owners: Sequence[str] | None = None,
    expires_in: float | timedelta | None = None,
    rate: int | None = None,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> CreatedKey:
    """Create a key for a program that uses the REST API.

    The key is in the result and nowhere else: only its SHA-256 is stored.

    Args:
        name: what it is for, 1 to 180 printable characters; the audit trail shows it.
        role: what it may do: ``viewer``, ``operator`` or ``admin``; see `Principal`.
        owners: the owners whose jobs and runs it may reach; ``None``: all.
        expires_in: seconds (or a timedelta) for which it is valid; ``None``: until it is revoked.
        rate: the number of requests per minute that each web process admits; ``None``: no limit.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The key, and what is stored of it.

    Raises:
        ConfigurationError: a value is not valid.
    """
    label_, valid_for = _name("name", name), _expires("expires_in", expires_in)
    given_role, limit = _role("role", role), _rate("rate", rate)
    allowed = None if owners is None else owner_names(owners)
    key = new_key()

    def store(tx: Transaction) -> CreatedKey:
        expires_at = None if valid_for is None else tx.now + timedelta(seconds=valid_for)
        record = KeyRecord(
            id=new_id(), name=label_, role=given_role, owners=allowed, rate=limit,
            created_at=tx.now, created_by=tx.actor, expires_at=expires_at,
        )  # fmt: skip
        key_rows.add(tx, record, digest_of(key))
        tx.record("key.created", key=record.id, name=label_, role=given_role, owners=allowed)
        return CreatedKey(key, record)

    return core.transact(store, session=session, actor=actor)


def keys(core: Core) -> list[KeyRecord]:
    """Return all keys, newest first, also those that are revoked or expired."""
    with core.store.read() as conn:
        return key_rows.all_keys(conn)


def revoke_key(
    core: Core,
    key_id: str,
    *,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> KeyRecord:
    """Revoke a key: from the commit on, every request with it is refused.

    Args:
        key_id: the id of the key, which is not the key itself.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The key as it is now; one that is revoked already stays unchanged.

    Raises:
        KeyNotFound: the key does not exist.
    """

    def store(tx: Transaction) -> KeyRecord:
        record = key_rows.lock(tx, key_id) if is_id(key_id) else None
        if record is None:
            raise KeyNotFound(key_id)
        if record.revoked_at is not None:
            return record
        key_rows.revoke(tx, key_id)
        tx.record("key.revoked", key=key_id, name=record.name)
        return record.replace(revoked_at=tx.now)

    return core.transact(store, session=session, actor=actor)


def verify_key(core: Core, key: str) -> KeyRecord | None:
    """Return the record of a key, and store that it is used now, at most once a minute.

    Args:
        key: the key, as its user sent it.

    Returns:
        Its record, also if it is revoked or expired: see `KeyRecord.is_valid`. ``None``: there is
        no such key.
    """
    if not key.startswith(PREFIX):
        return None
    digest = digest_of(key)
    with core.store.read() as conn:
        found = key_rows.by_digest(conn, digest)
    if found is None or not hmac.compare_digest(found[1], digest):
        return None
    record, now = found[0], core.store.time.now()
    before = now - USE_IS_STORED_EVERY
    is_stale = record.last_used_at is None or record.last_used_at <= before
    if record.is_valid(now) and is_stale:
        with suppress(StoreError):  # a busy database must not refuse the request
            core.store.run(lambda tx: key_rows.mark_used(tx, record.id, before), single=True)
    return record
