"""Exchanges: what admins do with them, and what happens to them at their end.

Each function works in the current transaction; whoever calls it commits. The reminder jobs, the
mails and the webhooks are a part of that transaction.
"""

from __future__ import annotations

import logging
import re
import secrets
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from apps.sneaky_klaus import mailing, matching, reminders, webhooks
from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import (
    Exchange,
    Exclusion,
    MagicToken,
    Match,
    Participant,
    ReminderDelivery,
    State,
)  # fmt: skip
from apps.sneaky_klaus.services import services

Move = Literal["open", "close", "unmatch", "complete"]
_MOVES: dict[Move, tuple[tuple[State, ...], State]] = {
    "open": (("DRAFT", "REGISTRATION_CLOSED"), "REGISTRATION_OPEN"),
    "close": (("REGISTRATION_OPEN",), "REGISTRATION_CLOSED"),
    "unmatch": (("MATCHED",), "REGISTRATION_CLOSED"),
    "complete": (("MATCHED",), "COMPLETED"),
}


class NotPossible(Exception):
    """The exchange is not in a state, or has not the participants, that this needs."""


def possible_moves(exchange: Exchange) -> list[Move]:
    """Return what an admin may do with an exchange now, besides matching."""
    return [move for move, (states, _to) in _MOVES.items() if exchange.state in states]


def create(name: str, event: datetime, timezone: str, description: str = "") -> Exchange:
    """Store a new exchange as a draft.

    Args:
        name: its name.
        event: the instant of the exchange.
        timezone: the zone in which people speak of it.
        description: what its participants read.
    """
    now = services().clock.now()
    exchange = Exchange(
        name=name, slug=_slug(name), description=description, exchange_date=event,
        timezone=timezone, reminder_days=list(services().settings.default_reminder_days),
        created_at=now, updated_at=now,
    )  # fmt: skip
    db.session.add(exchange)
    db.session.flush()
    return exchange


def edit(exchange: Exchange, **changes: Any) -> None:
    """Change fields of an exchange; its reminders follow a new date, zone, or list of days."""
    for name, value in changes.items():
        setattr(exchange, name, value)
    _changed(exchange)


def move(exchange: Exchange, wanted: Move) -> None:
    """Open or close the registration, take the matches back, or complete an exchange.

    Raises:
        NotPossible: the exchange is in another state.
    """
    states, to = _MOVES[wanted]
    if exchange.state not in states:
        raise NotPossible(f"This is not possible: the state is “{_words(exchange.state)}”.")
    if wanted == "complete":
        complete(exchange)
        return
    exchange.state = to
    if wanted == "unmatch":
        db.session.execute(delete(Match).where(Match.exchange_id == exchange.id))
    _changed(exchange)


def match(exchange: Exchange) -> None:
    """Match the participants anew, tell each of them whom to give to, and plan the reminders.

    Raises:
        NotPossible: the exchange is in another state, or its participants cannot be matched.
    """
    if exchange.state not in ("REGISTRATION_CLOSED", "MATCHED"):
        raise NotPossible(
            f"Only a closed registration can be matched; the state is “{_words(exchange.state)}”."
        )
    people = [person.id for person in active_participants(exchange)]
    excluded = db.session.execute(
        select(Exclusion.participant_a, Exclusion.participant_b).where(
            Exclusion.exchange_id == exchange.id
        )
    ).all()
    try:
        receivers = matching.match(people, [(a, b) for a, b in excluded])
    except matching.NoMatch as error:
        raise NotPossible(str(error)) from None
    db.session.execute(delete(Match).where(Match.exchange_id == exchange.id))
    for giver, receiver in receivers.items():
        db.session.add(Match(exchange_id=exchange.id, giver_id=giver, receiver_id=receiver))
    exchange.state = "MATCHED"
    _changed(exchange)
    mailing.tell_assignments(receivers)
    webhooks.publish("exchange.matched", exchange, participants=len(receivers))


def active_participants(exchange: Exchange) -> list[Participant]:
    """Return the participants who have not withdrawn."""
    return [person for person in exchange.participants if person.withdrawn_at is None]


def day_is_over(exchange: Exchange, now: datetime) -> bool:
    """Return whether the local day of an exchange has ended."""
    zone = ZoneInfo(exchange.timezone)
    return exchange.exchange_date.astimezone(zone).date() < now.astimezone(zone).date()


def complete(exchange: Exchange) -> None:
    """Complete an exchange; it has no reminders any more."""
    exchange.state, exchange.completed_at = "COMPLETED", services().clock.now()
    _changed(exchange)
    webhooks.publish("exchange.completed", exchange)


def purge(exchange: Exchange, log: logging.Logger) -> None:
    """Delete an exchange with all that belongs to it."""
    log.info("Deleting exchange %d (%s) with %s.", exchange.id, exchange.name, _sizes(exchange.id))
    webhooks.publish("exchange.purged", exchange)
    delete_exchange(exchange)


def delete_exchange(exchange: Exchange) -> None:
    """Delete an exchange, its rows, by cascade, and its reminder jobs."""
    db.session.delete(exchange)
    reminders.plan(exchange.id)


def _sizes(exchange_id: int) -> dict[str, int]:
    """Return how many rows of each kind will be deleted with an exchange."""
    people = select(Participant.id).where(Participant.exchange_id == exchange_id)
    sizes: dict[str, int] = {}
    for model in (Participant, Match, Exclusion, ReminderDelivery):
        found = select(func.count()).where(model.exchange_id == exchange_id)
        sizes[model.__tablename__] = db.session.scalar(found) or 0
    tokens = select(func.count()).where(MagicToken.participant_id.in_(people))
    return {**sizes, "magic_token": db.session.scalar(tokens) or 0}


def _words(state: State) -> str:
    """Return a state as people read it."""
    return state.lower().replace("_", " ")


def _changed(exchange: Exchange) -> None:
    exchange.updated_at = services().clock.now()
    reminders.plan(exchange.id)


def _slug(name: str) -> str:
    """Return the part of the registration's address that people cannot guess."""
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "exchange"
    return f"{readable}-{secrets.token_hex(4)}"
