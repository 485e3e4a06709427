"""API keys: what is stored of them, and how they are made."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from duly.model.record import Record, record

Role = Literal["viewer", "operator", "admin"]
"""What a user or a key may do: read, operate, or also create and delete."""

ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "duly_"
"""The start of every key, by which programs that search for leaked secrets find it."""


@record
class KeyRecord(Record):
    """A key of the REST API, without the key itself, which is not stored.

    Attributes:
        id: identifies the key, for `revoke_key`.
        name: the name that its creator gave it; the audit trail shows it as ``key:<name>``.
        role: what it may do: ``viewer``, ``operator`` or ``admin``.
        owners: the owners whose jobs and runs it may reach; ``None``: all.
        rate: the number of requests per minute that each web process admits; ``None``: no limit.
        created_at: when it was created.
        created_by: the actor who created it, if any.
        expires_at: from when on it is not valid; ``None``: it does not expire.
        revoked_at: when it was revoked, if it was.
        last_used_at: when it was last used, up to a minute earlier than the last request.
    """

    id: str
    name: str
    role: Role
    owners: tuple[str, ...] | None
    rate: int | None
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor expired at an instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that was just created.

    Attributes:
        key: the key, which is shown this once; only its SHA-256 is stored.
        record: what is stored of it.
    """

    key: str
    record: KeyRecord

    def __repr__(self) -> str:
        return f"<CreatedKey {self.record.name!r}>"  # a key must not end up in a log


def new_key() -> str:
    """Return a new key: the prefix and 32 random bytes."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """Return what is stored of a key; its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
