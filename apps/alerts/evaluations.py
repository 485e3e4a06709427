"""The evaluations of alerts, as lists of the API and of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from apps.alerts.models import Alert, Instance, Task


async def latest(session: AsyncSession, alerts: Sequence[UUID]) -> dict[UUID, Instance]:
    """Return the newest instance of each alert that has one; one index entry is read for each."""
    other = aliased(Instance)
    newest = (
        select(other.id).where(other.alert_id == Alert.id)
        .order_by(other.triggered_at.desc(), other.id).limit(1)
    )  # fmt: skip
    wanted = select(Instance).join(Alert, Instance.id == newest.scalar_subquery())
    found = await session.scalars(wanted.where(Alert.id.in_(alerts)))
    return {instance.alert_id: instance for instance in found}


async def recent(
    session: AsyncSession, alert_id: UUID, *, limit: int, offset: int = 0
) -> list[tuple[Instance, list[Task]]]:
    """Return the instances of an alert, newest first, each with its tasks."""
    query = select(Instance).where(Instance.alert_id == alert_id)
    query = query.order_by(Instance.triggered_at.desc(), Instance.id).limit(limit).offset(offset)
    instances = list(await session.scalars(query))
    ids = [instance.id for instance in instances]
    tasks = list(await session.scalars(select(Task).where(Task.alert_instance_id.in_(ids))))
    return [
        (instance, [task for task in tasks if task.alert_instance_id == instance.id])
        for instance in instances
    ]
