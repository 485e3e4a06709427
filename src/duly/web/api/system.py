"""The scheduler as a whole: health, status, tasks, workers, queues, the switch, the audit trail."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from starlette.responses import JSONResponse, Response

from duly.web.api import schemas
from duly.web.api.jobs import Pause
from duly.web.api.paging import BodyModel, Limit, Number, QueryModel, Text, page
from duly.web.endpoint import Endpoints, RequestContext
from duly.web.paths import API_PREFIX

endpoints = Endpoints(API_PREFIX)
MAX_TICK_WAIT_S = 3600.0


class EventsQuery(QueryModel):
    """Which events.

    Attributes:
        after: only those with a higher id.
        before: only those with a lower id.
        newest: newest first instead.
    """

    after: Number = 0
    before: Number | None = None
    newest: bool = False
    kind: Text | None = None
    job: Text | None = None
    limit: Limit = 100


class TickQuery(QueryModel):
    """How long the answer may take.

    Attributes:
        wait: seconds, 0 to 3600; default 20.
    """

    wait: Annotated[float, Field(ge=0, le=MAX_TICK_WAIT_S, allow_inf_nan=False)] = 20


class Stop(BodyModel):
    """Why the scheduler is switched off."""

    reason: Text = ""


@endpoints.get("/health")
async def show_health(context: RequestContext) -> schemas.Health:
    """Whether this process answers at all, and how it goes; 200 as long as it answers."""
    return schemas.Health.model_validate(await context.scheduler.aio.health())


@endpoints.get("/health/ready")
async def show_ready(context: RequestContext) -> Response:
    """The same; 503 unless the engine of this process runs and the database answers."""
    held = await show_health(context)
    return JSONResponse(held.model_dump(mode="json"), 200 if held.ok else 503)


@endpoints.get("/status")
async def show_status(context: RequestContext) -> schemas.Status:
    """The whole scheduler now."""
    return schemas.Status.model_validate(await context.scheduler.aio.status())


@endpoints.get("/tasks")
async def list_tasks(context: RequestContext) -> list[schemas.Task]:
    """The functions that this process knows."""
    return [
        schemas.Task(
            name=task.name,
            doc=task.doc,
            is_async=task.is_async,
            arguments=task.signature.schema(),
        )
        for task in context.scheduler.registry.tasks()
    ]


@endpoints.get("/workers")
async def list_workers(context: RequestContext) -> list[schemas.Worker]:
    """All workers that are known, oldest first."""
    held = await context.scheduler.aio.workers()
    return [schemas.Worker.model_validate(record) for record in held]


@endpoints.get("/queues")
async def list_queues(context: RequestContext) -> list[schemas.Queue]:
    """All queues that are known, by name."""
    return (await show_status(context)).queues


@endpoints.post("/queues/{name}/pause")
async def pause_queue(context: RequestContext, name: str, body: Pause) -> list[schemas.Queue]:
    """Hold back a queue's ready runs in every worker."""
    await context.scheduler.aio.pause_queue(name, reason=body.reason, actor=context.actor)
    return await list_queues(context)


@endpoints.post("/queues/{name}/resume")
async def resume_queue(context: RequestContext, name: str) -> list[schemas.Queue]:
    """Let a queue's ready runs go."""
    await context.scheduler.aio.resume_queue(name, actor=context.actor)
    return await list_queues(context)


@endpoints.post("/scheduler/stop")
async def stop_all(context: RequestContext, body: Stop) -> schemas.Status:
    """Switch the scheduler off in every worker: nothing fires, nothing is claimed."""
    await context.scheduler.aio.stop_all(reason=body.reason, actor=context.actor)
    return await show_status(context)


@endpoints.post("/scheduler/start")
async def start_all(context: RequestContext) -> schemas.Status:
    """Switch the scheduler on again."""
    await context.scheduler.aio.start_all(actor=context.actor)
    return await show_status(context)


@endpoints.post("/tick")
async def tick(context: RequestContext, query: TickQuery) -> schemas.Step:
    """Fire and execute what is due, and answer when it has finished.

    For platforms that freeze idle processes, where a request is the only time to work.
    """
    return schemas.Step.model_validate(await context.scheduler.aio.run_due(wait=query.wait))


@endpoints.get("/events")
async def list_events(context: RequestContext, query: EventsQuery) -> schemas.Page[schemas.Event]:
    """The audit trail, oldest first: go on with ``after``; newest first: with ``before``."""
    wanted = query.model_dump(exclude={"limit"})
    held = await context.scheduler.aio.events(**wanted, limit=query.limit + 1)
    return page(held, query.limit, schemas.Event, lambda event: event.id)
