"""The REST API of alerts, for users of their client."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query

from apps.alerts import alerts as service
from apps.alerts import evaluations
from apps.alerts.api.access import Member, ServicesDep
from apps.alerts.api.schemas import AlertChange, FrequencyBody, NewAlert, Parents, show_alerts
from apps.alerts.frequencies import check_frequency, describe, next_times
from apps.alerts.history import show_run
from apps.alerts.models import Alert, Instance, Task, User
from apps.alerts.scheduling import tag_of
from apps.alerts.services import Services
from apps.alerts.triggering import trigger_by_hand

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])

Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/")
async def list_alerts(
    user: Member, services: ServicesDep, limit: Limit = 100, offset: Offset = 0
) -> list[dict[str, Any]]:
    """List the alerts of the user's clients, by name."""
    query = service.alerts_of(user).order_by(Alert.name, Alert.id).limit(limit).offset(offset)
    async with services.database.session() as session:
        found = list(await session.scalars(query))
    return await show_alerts(services, found)


@router.post("/", status_code=201)
async def create_alert(user: Member, body: NewAlert, services: ServicesDep) -> dict[str, Any]:
    """Create an alert and its job."""
    async with services.database.begin() as session:
        alert = await service.create(services, session, user, body.model_dump())
    return (await show_alerts(services, [alert]))[0]


@router.post("/frequency/preview")
async def preview(_: Member, body: FrequencyBody, services: ServicesDep) -> dict[str, Any]:
    """Return the next ten times of a frequency, as its alert would run."""
    now = services.clock.now()
    trigger = check_frequency(body.frequency, services.settings, now)
    times = next_times(trigger, now, 10)
    return {**describe(trigger), "frequency": trigger.rule, "next_run_times": times}


@router.get("/{alert_id}")
async def show_alert(user: Member, alert_id: UUID, services: ServicesDep) -> dict[str, Any]:
    """Return one alert."""
    return (await show_alerts(services, [await _find(services, user, alert_id)]))[0]


@router.patch("/{alert_id}")
async def change_alert(
    user: Member, alert_id: UUID, body: AlertChange, services: ServicesDep
) -> dict[str, Any]:
    """Change fields of an alert; its job changes with it."""
    values = body.model_dump(exclude_unset=True)
    return (await show_alerts(services, [await _update(services, user, alert_id, values)]))[0]


@router.patch("/{alert_id}/frequency")
async def change_frequency(
    user: Member, alert_id: UUID, body: FrequencyBody, services: ServicesDep
) -> dict[str, Any]:
    """Change the frequency of an alert, and return its next five times."""
    values = {"frequency": body.frequency}
    alert = await _update(services, user, alert_id, values)
    now = services.clock.now()
    trigger = check_frequency(alert.frequency or {}, services.settings, now)
    shown = await show_alerts(services, [alert])
    return {**shown[0], "next_run_times": next_times(trigger, now, 5)}


@router.delete("/{alert_id}", status_code=204)
async def delete_alert(user: Member, alert_id: UUID, services: ServicesDep) -> None:
    """Delete an alert; its jobs go with it."""
    async with services.database.begin() as session:
        alert = await service.find(session, user, alert_id, change=True)
        await service.remove(services, session, user, alert)


@router.post("/{alert_id}/trigger")
async def trigger(user: Member, alert_id: UUID, services: ServicesDep) -> dict[str, Any]:
    """Trigger an alert now, and return the instance; 409 while a run of it is executing."""
    return show_instance(await trigger_by_hand(services, user, alert_id))


@router.get("/{alert_id}/instances")
async def instances(
    user: Member, alert_id: UUID, services: ServicesDep, limit: Limit = 100, offset: Offset = 0
) -> list[dict[str, Any]]:
    """List the evaluations of an alert, newest first, with their tasks."""
    await _find(services, user, alert_id)
    async with services.database.session() as session:
        found = await evaluations.recent(session, alert_id, limit=limit, offset=offset)
    return [
        {**show_instance(instance), "tasks": [_show_task(task) for task in tasks]}
        for instance, tasks in found
    ]


@router.get("/{alert_id}/runs")
async def runs(
    user: Member, alert_id: UUID, services: ServicesDep, limit: Limit = 100
) -> list[dict[str, Any]]:
    """List the runs of an alert, newest first."""
    await _find(services, user, alert_id)
    found = await services.scheduler.aio.runs(tag=tag_of(alert_id), limit=limit)
    return [show_run(run) for run in found]


@router.get("/{alert_id}/dependencies")
async def show_dependencies(
    user: Member, alert_id: UUID, services: ServicesDep
) -> dict[str, list[dict[str, Any]]]:
    """Return what an alert runs after."""
    alert = await _find(services, user, alert_id)
    async with services.database.session() as session:
        links = await service.parents_of(session, alert)
    return {
        "parents": [
            {
                "parent_id": link.parent_id, "name": name, "condition": link.condition,
                "delay_seconds": link.delay_seconds,
            }
            for link, name in links
        ]
    }  # fmt: skip


@router.put("/{alert_id}/dependencies")
async def set_dependencies(
    user: Member, alert_id: UUID, body: Parents, services: ServicesDep
) -> dict[str, list[dict[str, Any]]]:
    """Replace what an alert runs after."""
    links = [(one.parent_id, one.condition, one.delay_seconds) for one in body.parents]
    if len({link[0] for link in links}) < len(links):
        raise HTTPException(422, "parents: an alert is named twice")
    async with services.database.begin() as session:
        alert = await service.find(session, user, alert_id, change=True)
        await service.set_parents(services, session, user, alert, links)
    return await show_dependencies(user, alert_id, services)


def show_instance(instance: Instance) -> dict[str, Any]:
    """Return an evaluation as the API shows it."""
    return {
        column.key: getattr(instance, column.key) for column in Instance.__mapper__.column_attrs
    }


def _show_task(task: Task) -> dict[str, Any]:
    return {
        "id": task.id, "title": task.title, "body": task.body, "assignee": task.assignee,
        "status": task.status,
    }  # fmt: skip


async def _find(services: Services, user: User, alert_id: UUID) -> Alert:
    async with services.database.session() as session:
        return await service.find(session, user, alert_id)


async def _update(services: Services, user: User, alert_id: UUID, values: dict[str, Any]) -> Alert:
    async with services.database.begin() as session:
        alert = await service.find(session, user, alert_id, change=True)
        await service.update(services, session, user, alert, values)
    return alert
