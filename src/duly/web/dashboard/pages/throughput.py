"""The figures of the overview's charts as a table."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from duly.operations.throughput import Window
from duly.web.api.paging import QueryModel
from duly.web.context import Context
from duly.web.dashboard.charts.throughput import OUTCOMES
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

WINDOWS: tuple[tuple[Window, str], ...] = (("1h", "1 h"), ("24h", "24 h"), ("7d", "7 d"))
"""The windows to choose from, and their names."""

routes = Routes(tag=None)


class WindowQuery(QueryModel):
    """The query of the charts and of their figures."""

    window: Window = "24h"


@routes.get("/throughput")
async def show_throughput(context: Context, query: Annotated[WindowQuery, Query()]) -> Response:
    """Show how many runs ended in each period, by outcome, and how late they started."""
    throughput = await context.scheduler.aio.throughput(query.window)
    return await render(
        context,
        "throughput.html",
        refresh=30,
        query=query,
        throughput=throughput,
        windows=WINDOWS,
        periods=[period for period in reversed(throughput.periods) if period.outcomes],
        outcomes=[outcome for outcome in reversed(OUTCOMES) if outcome in throughput.outcomes],
    )
