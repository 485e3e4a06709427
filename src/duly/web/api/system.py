"""The REST API of the scheduler as a whole: health, status, tasks, workers, queues, events."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from duly.model.event import Event
from duly.model.step import Step
from duly.model.worker import WorkerRecord
from duly.operations.status import Health, QueueStatus, Status
from duly.web.api import schemas
from duly.web.api.jobs import PauseBody
from duly.web.api.paging import BodyModel, Limit, Number, QueryModel, Text, page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="system")
MAX_TICK_WAIT_S = 3600.0


class EventsQuery(QueryModel):
    """Filters for events, all of which must match.

    Attributes:
        after: return only events with a greater id.
        before: return only events with a smaller id.
        newest: return the newest first; default: the oldest first.
    """

    after: Number = 0
    before: Number | None = None
    newest: bool = False
    kind: Text | None = None
    job: Text | None = None
    limit: Limit = 100


class TickQuery(QueryModel):
    """How long a tick may take.

    Attributes:
        wait: seconds until the response at the latest, 0 to 3600; default: 20.
    """

    wait: Annotated[float, Field(ge=0, le=MAX_TICK_WAIT_S, allow_inf_nan=False)] = 20


class Stop(BodyModel):
    """The reason for switching the scheduler off."""

    reason: Text = ""


@routes.get("/health", role=None)
async def show_live(_context: Context) -> Response:
    """Respond to anybody: this process is alive."""
    return JSONResponse({"ok": True})


@routes.get("/health/ready", role=None)
async def show_ready(context: Context) -> Response:
    """Respond to anybody whether this process runs and the database responds; 503 if not."""
    health = await context.scheduler.aio.health()
    return JSONResponse({"ok": health.ok}, 200 if health.ok else 503)


@routes.get("/health/details")
async def show_health(context: Context) -> Health:
    """Return the health of this process; the status is 200 whatever its health is."""
    return await context.scheduler.aio.health()


@routes.get("/status")
async def show_status(context: Context) -> Status:
    """Return the status of the scheduler."""
    return await context.scheduler.aio.status()


@routes.get("/tasks")
async def list_tasks(context: Context) -> list[schemas.Task]:
    """List the tasks that are registered in this process."""
    return [
        schemas.Task(
            name=task.name,
            doc=task.doc,
            is_async=task.is_async,
            arguments=task.signature.schema(),
        )
        for task in context.scheduler.registry.tasks()
    ]


@routes.get("/workers")
async def list_workers(context: Context) -> list[WorkerRecord]:
    """List all workers, oldest first."""
    return await context.scheduler.aio.workers()


@routes.get("/queues")
async def list_queues(context: Context) -> list[QueueStatus]:
    """List all queues, sorted by name."""
    return (await show_status(context)).queues


@routes.post("/queues/{name}/pause")
async def pause_queue(context: Context, name: Name, body: PauseBody) -> list[QueueStatus]:
    """Pause a queue: no worker starts its runs."""
    await context.scheduler.aio.pause_queue(name, reason=body.reason, actor=context.actor)
    return await list_queues(context)


@routes.post("/queues/{name}/resume")
async def resume_queue(context: Context, name: Name) -> list[QueueStatus]:
    """Resume a queue."""
    await context.scheduler.aio.resume_queue(name, actor=context.actor)
    return await list_queues(context)


@routes.post("/scheduler/stop")
async def stop_all(context: Context, body: Annotated[Stop, Body(default_factory=Stop)]) -> Status:
    """Switch the scheduler off in all workers: no job fires and no run starts."""
    await context.scheduler.aio.stop_all(reason=body.reason, actor=context.actor)
    return await show_status(context)


@routes.post("/scheduler/start")
async def start_all(context: Context) -> Status:
    """Switch the scheduler on again."""
    await context.scheduler.aio.start_all(actor=context.actor)
    return await show_status(context)


@routes.post("/tick")
async def tick(context: Context, query: Annotated[TickQuery, Query()]) -> Step:
    """Fire and execute what is due, and respond when it has finished.

    This is for platforms that freeze processes between requests.
    """
    return await context.scheduler.aio.run_due(wait=query.wait)


@routes.get("/events")
async def list_events(
    context: Context, query: Annotated[EventsQuery, Query()]
) -> schemas.Page[Event]:
    """List the audit trail; continue with ``after``, or with ``before`` if newest first."""
    filters = query.model_dump(exclude={"limit"})
    records = await context.scheduler.aio.events(**filters, limit=query.limit + 1)
    return page(records, query.limit, lambda event: event.id)
