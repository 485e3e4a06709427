"""Participants: how people join an exchange, and what they may change."""

from __future__ import annotations

from sqlalchemy import select

from apps.sneaky_klaus import mailing
from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.exchanges import NotPossible, active_participants
from apps.sneaky_klaus.models import Exchange, Exclusion, Participant
from apps.sneaky_klaus.services import services


def register(exchange: Exchange, name: str, email: str, gift_ideas: str = "") -> Participant:
    """Add a participant, or find the one with this address, and send a link to sign in.

    Both look the same to the visitor, so that nobody learns who takes part.

    Raises:
        NotPossible: the registration is closed.
    """
    if exchange.state != "REGISTRATION_OPEN":
        raise NotPossible("The registration for this exchange is closed.")
    address = email.strip().lower()
    person = _find(exchange, address)
    if person is None:
        person = Participant(
            exchange_id=exchange.id, name=name, email=address, gift_ideas=gift_ideas,
            created_at=services().clock.now(),
        )  # fmt: skip
        db.session.add(person)
        db.session.flush()
    mailing.send_magic_link(person.id)
    return person


def send_link(exchange: Exchange, email: str) -> None:
    """Send the participant with this address, if there is one, a link to sign in."""
    person = _find(exchange, email.strip().lower())
    if person is not None:
        mailing.send_magic_link(person.id)


def _find(exchange: Exchange, address: str) -> Participant | None:
    return db.session.scalar(
        select(Participant)
        .filter_by(exchange_id=exchange.id, email=address)
        .where(Participant.withdrawn_at.is_(None))
    )


def withdraw(person: Participant) -> None:
    """Take a participant out of an exchange, as long as the registration is open.

    Raises:
        NotPossible: the registration has ended.
    """
    # The lock keeps a concurrent matching from including somebody who withdraws.
    db.session.refresh(person.exchange, with_for_update=True)
    if person.exchange.state != "REGISTRATION_OPEN":
        raise NotPossible("The registration has ended, so you can no longer withdraw.")
    person.withdrawn_at = services().clock.now()


def exclude(exchange: Exchange, one: int, other: int) -> None:
    """Keep two participants from being matched with each other.

    Raises:
        NotPossible: they are not two participants of this exchange.
    """
    people = {person.id for person in active_participants(exchange)}
    first, second = sorted((one, other))
    if first == second or not {first, second} <= people:
        raise NotPossible("Choose two different participants of this exchange.")
    db.session.merge(Exclusion(exchange_id=exchange.id, participant_a=first, participant_b=second))
