"""Sample data: an exchange whose reminder falls due soon, and one in each other state."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from apps.passwords import hash_password
from apps.sneaky_klaus import exchanges, participants
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Admin, Exchange, Participant
from apps.sneaky_klaus.services import services

ADMIN = ("greta@example.com", "wraps-in-silence")

_ZONE = "Europe/Madrid"
_SOON = "Office party"
_DUE_IN = timedelta(seconds=40)
_PEOPLE = ("Ana", "Ben", "Carla", "Dana", "Emil")


def seed() -> None:
    """Add the data of the first start, and let a reminder fall due soon after each start."""
    now = services().clock.now()
    password_hash = hash_password(ADMIN[1])
    with transaction():
        if db.session.scalar(select(Admin).filter_by(email=ADMIN[0])) is None:
            db.session.add(Admin(email=ADMIN[0], password_hash=password_hash))
            _create_others(now.replace(second=0, microsecond=0))
        _remind_soon(now)


def _remind_soon(now: datetime) -> None:
    """Move the matched exchange so that its last reminder falls due soon, or add it."""
    event = now + timedelta(days=1) + _DUE_IN
    found = db.session.scalar(select(Exchange).filter_by(name=_SOON, state="MATCHED"))
    if found is None:
        found = _create(_SOON, event, len(_PEOPLE))
        exchanges.move(found, "close")
        exchanges.match(found)
    exchanges.edit(found, exchange_date=event, timezone=_ZONE)


def _create_others(now: datetime) -> None:
    _create("Family dinner", now + timedelta(days=20), 2)
    ready = _create("Book club", now + timedelta(days=12), 4)
    first, second, *_ = exchanges.active_participants(ready)
    participants.exclude(ready, first.id, second.id)
    exchanges.move(ready, "close")
    past = _create("Last month's party", now - timedelta(days=24), 3)
    past.state, past.completed_at = "COMPLETED", past.exchange_date


def _create(name: str, event: datetime, people: int) -> Exchange:
    """Add an exchange whose registration is open, with participants."""
    created = exchanges.create(name, event, _ZONE, "A present of about 15 euros.")
    exchanges.move(created, "open")
    for person in _PEOPLE[:people]:
        _join(created, person)
    db.session.flush()
    return created


def _join(exchange: Exchange, name: str) -> None:
    exchange.participants.append(
        Participant(
            name=name, email=f"{name.lower()}@example.com", gift_ideas="Tea, or a good book.",
            created_at=services().clock.now(),
        )
    )  # fmt: skip
