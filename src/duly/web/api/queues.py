"""The REST API of queues: pauses, and limits over all workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from duly.operations.status import QueueStatus, Status
from duly.web.api.jobs import PauseBody
from duly.web.api.paging import BodyModel, PageQuery, page_of_all
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="queues")
Count = Annotated[int, Field(ge=1)]


class QueueLimits(BodyModel):
    """The limits of a queue over all workers; a limit that is not given is removed.

    Attributes:
        max_running: the number of its runs that may run at once.
        rate: the number of its runs that may start in ``per`` seconds.
        per: seconds.
    """

    max_running: Count | None = None
    rate: Count | None = None
    per: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] = 60


@routes.get("/queues")
async def list_queues(context: Context, query: Annotated[PageQuery, Query()]) -> Page[QueueStatus]:
    """List all queues, sorted by name."""
    status: Status = await context.scheduler.aio.status()
    return page_of_all(status.queues, query, lambda queue: queue.name)


@routes.put("/queues/{name}")
async def set_queue(context: Context, name: Name, body: QueueLimits) -> QueueStatus:
    """Set the limits of a queue."""
    await context.scheduler.aio.set_queue(
        name, max_running=body.max_running, rate=body.rate, per=body.per, actor=context.actor
    )
    return await _queue(context, name)


@routes.post("/queues/{name}/pause")
async def pause_queue(context: Context, name: Name, body: PauseBody) -> QueueStatus:
    """Pause a queue: no worker starts its runs."""
    await context.scheduler.aio.pause_queue(name, reason=body.reason, actor=context.actor)
    return await _queue(context, name)


@routes.post("/queues/{name}/resume")
async def resume_queue(context: Context, name: Name) -> QueueStatus:
    """Resume a queue."""
    await context.scheduler.aio.resume_queue(name, actor=context.actor)
    return await _queue(context, name)


async def _queue(context: Context, name: str) -> QueueStatus:
    """Return a queue; one that is not restricted and that no worker serves has no row."""
    status: Status = await context.scheduler.aio.status()
    found = (queue for queue in status.queues if queue.name == name)
    return next(found, QueueStatus(name))
