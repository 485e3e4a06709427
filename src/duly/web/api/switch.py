"""The REST API of the scheduler as a whole: its switch, and one step of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Query
from pydantic import Field

from duly.model.step import Step
from duly.operations.status import Status
from duly.web.api.paging import BodyModel, QueryModel, Text
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="scheduler")
MAX_TICK_WAIT_S = 3600.0


class TickQuery(QueryModel):
    """How long a tick may take."""

    wait: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_TICK_WAIT_S,
            allow_inf_nan=False,
            description="Seconds until the response at the latest.",
        ),
    ] = 20


class Stop(BodyModel):
    """The reason for switching the scheduler off."""

    reason: Text = ""


@routes.post("/scheduler/stop")
async def stop_all(context: Context, body: Annotated[Stop, Body(default_factory=Stop)]) -> Status:
    """Switch the scheduler off in all workers: no job fires and no run starts."""
    await context.scheduler.aio.stop_all(reason=body.reason, actor=context.actor)
    return await context.scheduler.aio.status()


@routes.post("/scheduler/start")
async def start_all(context: Context) -> Status:
    """Switch the scheduler on again."""
    await context.scheduler.aio.start_all(actor=context.actor)
    return await context.scheduler.aio.status()


@routes.post("/tick")
async def tick(context: Context, query: Annotated[TickQuery, Query()]) -> Step:
    """Fire and execute what is due, and respond when it has finished.

    This is for platforms that freeze processes between requests.
    """
    return await context.scheduler.aio.run_due(wait=query.wait)
