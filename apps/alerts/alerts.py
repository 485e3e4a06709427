"""Alerts of a client: found through memberships, and changed together with their jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.frequencies import check_frequency
from apps.alerts.models import Alert, Client, Dependency, Membership, Outcome, User
from apps.alerts.scheduling import schedule
from apps.alerts.services import Services

MOST_ACTIVE = 500
"""How many active alerts a client may have."""

_DEEPEST = 10
_SCHEDULED = ("frequency", "is_active", "client_id", "retry")
"""The fields of which an alert's jobs are made."""


def alerts_of(user: User) -> Select[Alert]:
    """Return the query for the alerts that a user may see: those of the user's clients."""
    clients = select(Membership.client_id).where(Membership.user_id == user.id)
    return select(Alert).where(Alert.client_id.in_(clients), Alert.deleted_at.is_(None))


async def find(session: AsyncSession, user: User, alert_id: UUID, *, change: bool = False) -> Alert:
    """Return one of the user's alerts, locked if it is about to be changed.

    Raises:
        HTTPException: 404, there is none, or it belongs to a client of others.
    """
    query = alerts_of(user).where(Alert.id == alert_id)
    alert = await session.scalar(query.with_for_update() if change else query)
    if alert is None:
        raise HTTPException(404, "This alert does not exist.")
    return alert


async def create(
    services: Services, session: AsyncSession, user: User, values: Mapping[str, Any]
) -> Alert:
    """Store an alert and its job.

    Raises:
        HTTPException: 404, not a client of the user; 422, a value is not valid.
    """
    now = services.clock.now()
    alert = Alert(
        **_checked(services, values), created_by=user.id, created_at=now, updated_at=now,
        schedule_version=1,
    )  # fmt: skip
    await _admit(session, user, alert)
    session.add(alert)
    await schedule(services, session, [alert], str(user.id))
    return alert


async def update(
    services: Services, session: AsyncSession, user: User, alert: Alert, values: Mapping[str, Any]
) -> None:
    """Change a locked alert, and its job if that is affected.

    Raises:
        HTTPException: 404, not a client of the user; 422, a value is not valid.
    """
    changes = {
        name: value
        for name, value in _checked(services, values).items()
        if getattr(alert, name) != value
    }
    if "client_id" in changes:
        await _unlink(session, alert)
    was_active = alert.is_active
    for name, value in changes.items():
        setattr(alert, name, value)
    alert.updated_at = services.clock.now()
    if changes.keys() & {*_SCHEDULED, "name"}:
        alert.schedule_version += 1
        if alert.is_active and ("client_id" in changes or not was_active):
            await _admit(session, user, alert)
        await schedule(services, session, [alert], str(user.id))


async def remove(services: Services, session: AsyncSession, user: User, alert: Alert) -> None:
    """Mark a locked alert as deleted, and remove its jobs."""
    children = await _unlink(session, alert)
    alert.deleted_at = alert.updated_at = services.clock.now()
    alert.schedule_version += 1
    await schedule(services, session, [alert, *children], str(user.id))


async def set_parents(
    services: Services,
    session: AsyncSession,
    user: User,
    alert: Alert,
    links: Sequence[tuple[UUID, Outcome, int]],
) -> None:
    """Replace the alerts that a locked alert runs after.

    Raises:
        HTTPException: 404, a parent does not exist; 409, a cycle; 422, the parent is one of
            another client, or the chain is too long.
    """
    await session.execute(delete(Dependency).where(Dependency.child_id == alert.id))
    for parent_id, condition, delay in links:
        parent = await find(session, user, parent_id)
        if parent.client_id != alert.client_id:
            raise HTTPException(422, "An alert can only run after alerts of its own client.")
        session.add(
            Dependency(
                parent_id=parent_id, child_id=alert.id, condition=condition, delay_seconds=delay
            )
        )
    await session.flush()
    above = await _levels(session, alert.id, upward=True)
    below = await _levels(session, alert.id, upward=False)
    if above is None or below is None:
        raise HTTPException(409, "These alerts would run after each other.")
    if above + below > _DEEPEST:
        raise HTTPException(422, f"A chain may have at most {_DEEPEST} dependencies.")
    alert.schedule_version += 1
    await schedule(services, session, [alert], str(user.id))


async def parents_of(session: AsyncSession, alert: Alert) -> list[tuple[Dependency, str]]:
    """Return what an alert runs after, with the names of these alerts."""
    query = (
        select(Dependency, Alert.name)
        .join(Alert, Alert.id == Dependency.parent_id)
        .where(Dependency.child_id == alert.id)
        .order_by(Alert.name, Alert.id)
    )
    return [(row[0], row[1]) for row in await session.execute(query)]


def _checked(services: Services, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values to store; a frequency becomes explicit and sorted.

    Raises:
        HTTPException: 422, the frequency is not valid.
    """
    checked = dict(values)
    if checked.get("frequency") is not None:
        trigger = check_frequency(checked["frequency"], services.settings, services.clock.now())
        checked["frequency"] = trigger.rule
    return checked


async def _admit(session: AsyncSession, user: User, alert: Alert) -> None:
    """Check that the alert may be one of its client's active ones, and give it its turn."""
    member = await session.get(Membership, (user.id, alert.client_id))
    if member is None:
        raise HTTPException(404, "This client does not exist.")
    lock = select(Client.id).where(Client.id == alert.client_id).with_for_update()
    await session.execute(lock)
    counted = select(func.count()).where(
        Alert.client_id == alert.client_id, Alert.is_active, Alert.deleted_at.is_(None),
        Alert.id != alert.id,
    )  # fmt: skip
    with session.no_autoflush:
        number = await session.scalar(counted) or 0
    if alert.is_active is not False and number >= MOST_ACTIVE:
        raise HTTPException(422, f"A client may have at most {MOST_ACTIVE} active alerts.")
    alert.turn = number


async def _unlink(session: AsyncSession, alert: Alert) -> list[Alert]:
    """Remove all dependencies of an alert, and return the alerts that ran after it."""
    children = await session.scalars(
        select(Alert).join(Dependency, Dependency.child_id == Alert.id)
        .where(Dependency.parent_id == alert.id)
    )  # fmt: skip
    found = list(children)
    links = or_(Dependency.parent_id == alert.id, Dependency.child_id == alert.id)
    await session.execute(delete(Dependency).where(links))
    return found


async def _levels(session: AsyncSession, alert_id: UUID, *, upward: bool) -> int | None:
    """Return how many dependencies are above or below an alert; ``None`` if they are a cycle."""
    near, far = Dependency.child_id, Dependency.parent_id
    if not upward:
        near, far = far, near
    levels, frontier = 0, {alert_id}
    while frontier:
        reached = await session.scalars(select(far).where(near.in_(frontier)))
        frontier = set(reached)
        if alert_id in frontier:
            return None
        levels += bool(frontier)
        if levels > MOST_ACTIVE:
            return levels
    return levels
