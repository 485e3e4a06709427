"""Magic links: tokens that sign a participant in, once, and of which only a hash is stored."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

from sqlalchemy import select

from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import MagicToken, Participant
from apps.sneaky_klaus.services import services

LIFETIME = timedelta(hours=1)


def create(participant_id: int, key: str) -> str:
    """Store a token in the current transaction, and return it.

    Args:
        participant_id: whom it signs in.
        key: identifies the mail that it is for: a repetition of the mail has the same token.
    """
    secret = services().settings.secret_key.get_secret_value()
    token = hmac.new(secret.encode(), f"magic link {key}".encode(), hashlib.sha256).hexdigest()
    if find(token) is None:
        now = services().clock.now()
        db.session.add(
            MagicToken(
                token_hash=_hash(token), participant_id=participant_id,
                expires_at=now + LIFETIME, created_at=now,
            )
        )  # fmt: skip
    return token


def find(token: str) -> MagicToken | None:
    """Return the row of a token, whether or not it is still valid."""
    return db.session.scalar(select(MagicToken).filter_by(token_hash=_hash(token)))


def is_valid(found: MagicToken | None) -> bool:
    """Return whether a token signs in: it exists, was not used and has not expired."""
    return found is not None and found.used_at is None and services().clock.now() < found.expires_at


def redeem(token: str) -> Participant | None:
    """Use a token in the current transaction, and return whom it signs in."""
    found = db.session.scalar(
        select(MagicToken).filter_by(token_hash=_hash(token)).with_for_update()
    )
    if found is None or not is_valid(found):
        return None
    found.used_at = services().clock.now()
    person = db.session.get_one(Participant, found.participant_id)
    return person if person.withdrawn_at is None else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
