"""The service that triggers an alert: evaluate its condition, record it, create tasks, tell people.

Automatic runs and people use the same service, in one transaction. Notices are enqueued as runs of
``deliver_notice`` in that transaction, so they exist if and only if the instance does.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from string import Template
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts.accounts import may_trigger
from apps.alerts.alerts import find
from apps.alerts.models import Alert, Instance, Metric, Task, User
from apps.alerts.scheduling import tag_of
from apps.alerts.services import Services

log = logging.getLogger(__name__)

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq,
}  # fmt: skip


class AlreadyTriggered(Exception):
    """There is an instance for this time, or for this run of the alert before it."""


class NotPermitted(Exception):
    """The actor may not trigger alerts of the client."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what triggers an alert.

    Attributes:
        actor: the user; the system user for automatic runs.
        trigger: ``schedule``, ``manual``, ``dependency`` or ``retry``.
        at: the present.
        scheduled_for: the nominal time of a scheduled run and of its retries.
        parent_instance_id: the instance of the alert that this one follows.
    """

    actor: UUID
    trigger: str
    at: datetime
    scheduled_for: datetime | None = None
    parent_instance_id: UUID | None = None


async def trigger_alert(
    services: Services, session: AsyncSession, alert: Alert, cause: Cause
) -> Instance:
    """Evaluate an alert and store what follows from it, in the caller's transaction.

    Raises:
        AlreadyTriggered: this has been done before.
        NotPermitted: the actor may not trigger alerts of this client.
    """
    if not await may_trigger(session, cause.actor, alert.client_id):
        raise NotPermitted(f"user {cause.actor} may not trigger alerts of this client")
    value = await observe(session, alert, cause.at)
    met = value is not None and _OPERATORS[alert.operator](value, alert.threshold)
    instance = Instance(
        alert_id=alert.id,
        client_id=alert.client_id,
        triggered_by=cause.actor,
        trigger=cause.trigger,
        scheduled_for=cause.scheduled_for,
        triggered_at=cause.at,
        parent_instance_id=cause.parent_instance_id,
        condition_met=met,
        observed_value=value,
        threshold=alert.threshold,
        status="triggered" if met else "ok",
    )
    session.add(instance)
    try:
        await session.flush()
    except IntegrityError:
        raise AlreadyTriggered("this time of the alert has been executed already") from None
    if met:
        await _follow_up(services, session, alert, instance)
    return instance


async def trigger_by_hand(services: Services, user: User, alert_id: UUID) -> Instance:
    """Trigger an alert as a user.

    Raises:
        HTTPException: 404, it is not an alert of the user; 409, a run of it is executing.
    """
    running = await services.scheduler.aio.runs(tag=tag_of(alert_id), state="running", limit=1)
    async with services.database.begin() as session:
        alert = await find(session, user, alert_id, change=True)
        if running:
            raise HTTPException(409, "The alert is running.")
        cause = Cause(user.id, "manual", services.clock.now())
        return await trigger_alert(services, session, alert, cause)


async def observe(session: AsyncSession, alert: Alert, now: datetime) -> float | None:
    """Return the average of an alert's metric over its lookback; ``None`` without figures."""
    wanted = select(func.avg(Metric.value)).where(
        Metric.client_id == alert.client_id,
        Metric.metric == alert.metric,
        Metric.measured_at > now - alert.lookback,
        Metric.measured_at <= now,
    )
    value = await session.scalar(wanted)
    return None if value is None else float(value)


async def _follow_up(
    services: Services, session: AsyncSession, alert: Alert, instance: Instance
) -> None:
    """Create the task of a triggered alert, and enqueue a notice for each recipient."""
    words = {
        "name": alert.name, "metric": alert.metric, "value": f"{instance.observed_value:g}",
        "threshold": f"{alert.operator} {alert.threshold:g}",
    }  # fmt: skip

    def fill(text: str) -> str:
        return Template(text).safe_substitute(words)

    if alert.task_template is not None:
        task = Task(
            alert_instance_id=instance.id,
            client_id=alert.client_id,
            title=fill(alert.task_template["title"])[:300],
            body=fill(alert.task_template.get("body", "")),
            assignee=alert.task_template.get("assignee"),
            created_at=instance.triggered_at,
        )
        session.add(task)
    body = fill("$metric is $value, and the condition is $threshold.")
    calls = [
        {
            "recipient": recipient,
            "key": f"instance:{instance.id}",
            "title": alert.name,
            "body": body,
        }
        for recipient in alert.recipients
    ]
    for call in calls:
        await services.scheduler.aio.enqueue("deliver_notice", args=call, session=session)
