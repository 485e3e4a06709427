"""The REST API of the throughput: how many runs end, and how late they start."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from duly.operations.throughput import Throughput, Window
from duly.web.api.paging import QueryModel
from duly.web.context import Context
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="metrics")


class ThroughputQuery(QueryModel):
    """Which window of time, which ends now."""

    window: Window = "24h"


@routes.get("/throughput")
async def show_throughput(
    context: Context, query: Annotated[ThroughputQuery, Query()]
) -> Throughput:
    """Return how many runs have ended, by outcome, and how late they started, by period."""
    found: Throughput = await context.scheduler.aio.throughput(query.window)
    return found
