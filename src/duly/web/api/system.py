"""The scheduler as a whole: health, status, tasks, workers, queues, the switch, the audit trail."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from duly.web.api import shapes
from duly.web.api.jobs import Pause
from duly.web.api.paging import Asked, Limit, Number, Text, Wanted, page
from duly.web.api.prefix import PREFIX
from duly.web.operation import Call, Operations

operations = Operations(PREFIX)


class EventsWanted(Wanted):
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


class Stop(Asked):
    """Why the scheduler is switched off."""

    reason: Text = ""


@operations.get("/health")
async def show_health(call: Call) -> shapes.Health:
    """Whether this process answers at all, and how it goes; 200 as long as it answers."""
    return shapes.Health.model_validate(await call.scheduler.aio.health())


@operations.get("/health/ready")
async def show_ready(call: Call) -> Response:
    """The same; 503 unless the engine of this process runs and the database answers."""
    held = await show_health(call)
    return JSONResponse(held.model_dump(mode="json"), 200 if held.ok else 503)


@operations.get("/status")
async def show_status(call: Call) -> shapes.Status:
    """The whole scheduler now."""
    return shapes.Status.model_validate(await call.scheduler.aio.status())


@operations.get("/tasks")
async def list_tasks(call: Call) -> list[shapes.Task]:
    """The functions that this process knows."""
    return [
        shapes.Task(
            name=task.name,
            doc=task.doc,
            is_async=task.is_async,
            arguments=task.signature.schema(),
        )
        for task in call.scheduler.registry.tasks()
    ]


@operations.get("/workers")
async def list_workers(call: Call) -> list[shapes.Worker]:
    """All workers that are known, oldest first."""
    held = await call.scheduler.aio.workers()
    return [shapes.Worker.model_validate(record) for record in held]


@operations.get("/queues")
async def list_queues(call: Call) -> list[shapes.Queue]:
    """All queues that are known, by name."""
    return (await show_status(call)).queues


@operations.post("/queues/{name}/pause")
async def pause_queue(call: Call, name: str, body: Pause) -> list[shapes.Queue]:
    """Hold back a queue's ready runs in every worker."""
    await call.scheduler.aio.pause_queue(name, reason=body.reason, actor=call.actor)
    return await list_queues(call)


@operations.post("/queues/{name}/resume")
async def resume_queue(call: Call, name: str) -> list[shapes.Queue]:
    """Let a queue's ready runs go."""
    await call.scheduler.aio.resume_queue(name, actor=call.actor)
    return await list_queues(call)


@operations.post("/scheduler/stop")
async def stop_all(call: Call, body: Stop) -> shapes.Status:
    """Switch the scheduler off in every worker: nothing fires, nothing is claimed."""
    await call.scheduler.aio.stop_all(reason=body.reason, actor=call.actor)
    return await show_status(call)


@operations.post("/scheduler/start")
async def start_all(call: Call) -> shapes.Status:
    """Switch the scheduler on again."""
    await call.scheduler.aio.start_all(actor=call.actor)
    return await show_status(call)


@operations.get("/events")
async def list_events(call: Call, query: EventsWanted) -> shapes.Page[shapes.Event]:
    """The audit trail, oldest first: go on with ``after``; newest first: with ``before``."""
    wanted = query.model_dump(exclude={"limit"})
    held = await call.scheduler.aio.events(**wanted, limit=query.limit + 1)
    return page(held, query.limit, shapes.Event, lambda event: event.id)
