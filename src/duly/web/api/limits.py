"""The REST API of limits of concurrency keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.exceptions import HTTPException

from duly.store.limits import KeyLimit
from duly.web.api.paging import BodyModel, PageQuery, page_of_all
from duly.web.api.schemas import Page
from duly.web.context import Context
from duly.web.paths import API_PREFIX, Name
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="limits")


class LimitBody(BodyModel):
    """The number of runs with the key that may run at once, over all workers; 0: none."""

    max_running: Annotated[int, Field(ge=0)]


@routes.get("/limits")
async def list_limits(context: Context, query: Annotated[PageQuery, Query()]) -> Page[KeyLimit]:
    """List the limits of concurrency keys, sorted by key."""
    return page_of_all(await context.scheduler.aio.limits(), query, lambda limit: limit.key)


@routes.put("/limits/{key}")
async def set_limit(context: Context, key: Name, body: LimitBody) -> KeyLimit:
    """Set the limit of a concurrency key; without one, one of its runs runs at a time."""
    await context.scheduler.aio.set_limit(key, body.max_running, actor=context.actor)
    limits: list[KeyLimit] = await context.scheduler.aio.limits()
    found = (limit for limit in limits if limit.key == key)
    return next(found, KeyLimit(key, body.max_running, 0))


@routes.delete("/limits/{key}")
async def remove_limit(context: Context, key: Name) -> None:
    """Remove the limit of a concurrency key."""
    if not await context.scheduler.aio.remove_limit(key, actor=context.actor):
        raise HTTPException(404, f"The concurrency key {key!r} has no limit.")
